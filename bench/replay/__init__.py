"""A recorded hour of an LLM service, replayed through the whole product, and the books balanced afterwards."""
