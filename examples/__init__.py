"""Small programs that use parts of the project on their own."""
