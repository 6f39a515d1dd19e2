"""What an analyst loads: lists of the API as frames, checks of campaigns and accounts."""
