"""Other tools, one file each: ``judge(script, folder)`` returns their complaints in the words of losscope's codes."""
