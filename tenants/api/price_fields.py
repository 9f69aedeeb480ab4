"""What a price is made of, as bodies carry it: see ``tenants.price_terms``."""

from typing import Final

from rest_framework import serializers

from tenants.api.fields import Amount, Answer, Body, Choice, Whole
from tenants.price_terms import FEES, MAX_ROWS, SEARCH_TOKENS, TOKEN_FIELDS, AppliesTo

#: a price version's columns
PRICE_FIELDS: Final = [
    *TOKEN_FIELDS,
    "per_request",
    "fees",
    "long_context",
    "service_tiers",
    "effective_from",
    "source",
]


class TokenAmounts(Body):
    """USD per million tokens, by class."""

    input_per_million = Amount(required=False, allow_null=True)
    output_per_million = Amount(required=False, allow_null=True)
    cached_input_per_million = Amount(required=False, allow_null=True)
    cache_write_per_million = Amount(required=False, allow_null=True)
    cache_write_1h_per_million = Amount(required=False, allow_null=True)
    audio_input_per_million = Amount(required=False, allow_null=True)
    cached_audio_input_per_million = Amount(required=False, allow_null=True)
    image_input_per_million = Amount(required=False, allow_null=True)
    cached_image_input_per_million = Amount(required=False, allow_null=True)
    audio_output_per_million = Amount(required=False, allow_null=True)
    image_output_per_million = Amount(required=False, allow_null=True)


class LongContextRow(TokenAmounts):
    """What calls cost that have more than ``above`` input tokens: the whole call, or of the input the tokens above."""

    above = Whole()
    applies_to = Choice(AppliesTo, required=False)


class TierRow(TokenAmounts):
    """What calls cost that a service tier answered."""

    long_context = serializers.ListField(child=LongContextRow(), required=False, max_length=MAX_ROWS)


class PriceTerms(TokenAmounts):
    """What a price version is made of. A class that is left out costs what the one nearest to it does."""

    input_per_million = Amount()
    output_per_million = Amount()
    per_request = Amount(required=False)
    fees = serializers.DictField(
        child=Amount(),
        required=False,
        help_text=f"USD by the piece: {', '.join(FEES)}; and {SEARCH_TOKENS}, the tokens of input that each web search"
        " is billed as beside its fee",
    )
    long_context = serializers.ListField(child=LongContextRow(), required=False, max_length=MAX_ROWS)
    service_tiers = serializers.DictField(
        child=TierRow(), required=False, help_text="by the name that answers give the tier: flex, priority, batch"
    )


class ShownTerms(Answer):
    """The amounts of a version, in USD. Null: this class of tokens costs what the one nearest to it does."""

    input_per_million = Amount()
    output_per_million = Amount()
    cached_input_per_million = Amount(allow_null=True)
    cache_write_per_million = Amount(allow_null=True)
    cache_write_1h_per_million = Amount(allow_null=True)
    audio_input_per_million = Amount(allow_null=True)
    cached_audio_input_per_million = Amount(allow_null=True)
    image_input_per_million = Amount(allow_null=True)
    cached_image_input_per_million = Amount(allow_null=True)
    audio_output_per_million = Amount(allow_null=True)
    image_output_per_million = Amount(allow_null=True)
    per_request = Amount()
    fees = serializers.DictField(child=serializers.CharField())
    long_context = serializers.ListField(child=serializers.DictField())
    service_tiers = serializers.DictField(child=serializers.DictField())
