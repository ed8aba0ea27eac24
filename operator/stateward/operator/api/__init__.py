"""The kinds of the operator: pydantic models, and the CustomResourceDefinitions that are made from them."""
