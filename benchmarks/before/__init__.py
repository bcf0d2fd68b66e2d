"""Is the project's runtime faster or slower than at an earlier commit?"""
