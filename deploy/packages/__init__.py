"""What the locks say, for the image and the bill of materials. Only the standard library: the image is built with
it."""
