"""What do 8-bit integers lose on this processor, with 7 or 8 bits of weight?"""
