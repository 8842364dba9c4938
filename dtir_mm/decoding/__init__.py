"""What an image file holds, in whatever mode, as the pixels that networks see."""
