"""Functions from functions to their derivatives: nesting, arguments, structures, what they refuse."""
