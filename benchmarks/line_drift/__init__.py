"""How seldom does the line's drift alarm come without a reason, and how soon with one?"""
