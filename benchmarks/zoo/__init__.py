"""Models that other people's converters and packages make: does each door answer as the runtime itself does?"""
