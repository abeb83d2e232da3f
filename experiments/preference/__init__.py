"""Which of two codecs' pictures people prefer: a page of forced choices, and a table of what they chose."""
