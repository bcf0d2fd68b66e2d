"""What comes out on magnetic tiles by the paper's protocol?"""
