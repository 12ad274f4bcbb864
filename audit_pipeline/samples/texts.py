"""Invented, harmless text for sample logs."""

from random import Random

_TOPICS = (
    "how bread rises",
    "why the sky is blue",
    "how a bicycle stays upright",
    "what a leap year is",
    "how to water tomatoes",
    "why cats purr",
    "how tides work",
    "what a prime number is",
    "how to fold a paper boat",
    "why leaves turn red",
    "how glass is made",
    "what a sonnet is",
)
_ASKS = ("Please explain {}.", "Can you tell me {}?", "In two sentences: {}?", "I keep wondering {}. Any idea?")
_OPENINGS = ("In short:", "Good question.", "Roughly speaking,", "Let me put it simply.", "Here is one way to see it.")
_POINTS = (
    "small causes add up over a long time",
    "warm air moves and cold air follows",
    "the pattern repeats every few days",
    "you can try it at home with a cup of water",
    "people have written about it for centuries — and still do",
    "the details depend on where you live",
    "a drawing helps more than a formula",
    "it works best when you are patient",
)
_CLOSINGS = ("That is all.", "Does that help?", "Ask me for more if you like.", "I am not sure about every detail.")


def question(rng: Random) -> str:
    return rng.choice(_ASKS).format(rng.choice(_TOPICS))


def answer(rng: Random) -> str:
    points = "; ".join(rng.sample(_POINTS, rng.randint(1, 4)))
    return f"{rng.choice(_OPENINGS)} {points[0].upper()}{points[1:]}. {rng.choice(_CLOSINGS)}"
