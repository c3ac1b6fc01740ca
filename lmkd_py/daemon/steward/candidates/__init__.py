"""The processes that may be killed: found, identified, sized, handed to the killer."""
