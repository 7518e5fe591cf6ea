"""Images: from what the user names to arrays that the graph takes."""
