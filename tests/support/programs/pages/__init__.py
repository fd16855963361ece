"""The pages of docs/reference: one module for each page, which renders it from descriptions in the code."""
