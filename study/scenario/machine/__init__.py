"""A machine as a person has it: any kernel, its sysctls, its free lists, what asks for pages."""
