"""The displays: one state drawn as text, HTML, widget, figure and report. Nothing here decides or sends."""
