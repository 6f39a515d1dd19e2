"""Loads for analysts: lists of the API as frames, checks of campaigns and accounts."""
