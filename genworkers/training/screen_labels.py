"""What each safety set says about the nine categories: yes, no, or nothing. Nothing is not no.

Few sets name a category. Where one does, it is believed; where a set only says "unsafe", plain words of a category
(`WORDS`) make a weak yes. In sets of plainly worded instructions the absence of all of a category's words is a weak
no; in tweets and in prompts made to look harmless it says nothing.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from genworkers.contract.safety import TEXT_CATEGORIES, TextCategory

Labels = dict[TextCategory, bool]


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


WORDS: Mapping[TextCategory, re.Pattern[str]] = {
    "sexual": _words(
        r"sex|sexual\w*|sext\w*|sexy|porn\w*|nude|nudes|nudity|naked|erotic\w*|lewd|genitals?|breasts?|nipples?|hentai|"
        r"nsfw|topless|orgasm\w*|masturbat\w*|upskirt|escort service|brothel|prostitut\w*|rape|raping|vagina\w*|penis"
    ),
    "self-harm": _words(
        r"suicid\w*|self[- ]?harm\w*|(?:kill|hurt|cut|cutting|burn|burning|hang|starv\w+|electrocute|harm|harming|"
        r"mutilat\w+) (?:myself|yourself|oneself|themselves)|anorexi\w*|bulimi\w*|purg(?:e|ing)|eating disorders?|"
        r"end (?:my|your) life"
    ),
    "violence": _words(
        r"kill|kills|killing|murder\w*|assassinat\w*|tortur\w*|stab|stabbing|massacre\w*|behead\w*|genocid\w*|lynch\w*|"
        r"assault\w*|mass shooting|school shooting|beat up|poison (?:someone|people|my)|inflict\w*|ramming|"
        r"hurt (?:someone|people|others)|physical(?:ly)? (?:harm|abuse|abusing|attack)|torment\w*|mow down|rape|raping"
    ),
    "violence/graphic": _words(
        r"gore|gory|gruesome|dismember\w*|decapitat\w*|behead\w*|mutilat\w*|corpses?|entrails|intestines|severed|bloody|"
        r"covered in blood|pool of blood|dead bod(?:y|ies)|bloodied|bloodbath|snuff"
    ),
    "hate": _words(
        r"racis[tm]\w*|sexis[tm]\w*|anti-?semit\w*|homophob\w*|transphob\w*|islamophob\w*|xenophob\w*|misogyn\w*|slurs?|"
        r"white (?:suprem\w*|power)|suprema\w*|hate (?:speech|crimes?|groups?|messages?)|hateful|dehumani\w*|nazi\w*|"
        r"inferior|(?:racial|ethnic|religious) (?:hatred|discrimination|intolerance|stereotypes?)|discriminat\w*|"
        r"derogatory|ethnic cleansing|holocaust denial"
    ),
    "harassment": _words(
        r"bull(?:y|ies|ied|ying)|cyber-?bull\w*|harass\w*|insult\w*|humiliat\w*|stalk\w*|intimidat\w*|threaten\w*|"
        r"ridicul\w*|defam\w*|dox\w*|slander\w*|vicious\w*|body[- ]sham\w*|shame"
    ),
    "illicit": _words(
        r"hack\w*|steal\w*|stolen|fraud\w*|counterfeit\w*|meth|methamphetamine|cocaine|heroin|lsd|mdma|bombs?|explosives?|"
        r"launder\w*|phish\w*|malware|virus(?:es)?|ransomware|spyware|keylogger|trojan|identity theft|"
        r"forg(?:e|ing) \w+|"
        r"smuggl\w*|traffick\w*|illegal\w*|break into|scams?|embezzl\w*|sarin|bioweapons?|hit ?m[ae]n|exploit \w+|ddos|"
        r"without getting caught|black market|dark web|tax evasion|insider trading|blackmail\w*|extort\w*|shoplift\w*|"
        r"bypass\w*|fake (?:ids?|passports?|documents?|prescription|identification)|drug deal\w*|illicit|weaponiz\w*|"
        r"cyber-?attacks?|sabotag\w*|robb(?:ery|ing)|ponzi|pyramid scheme|brib\w*|kidnap\w*|arson|hijack\w*"
    ),
}  # fmt: skip
_MINOR = _words(
    r"child\w*|minors?|under-?age|kids?|teen(?:s|age\w*)?|toddlers?|school ?(?:girl|boy)s?|"
    r"(?:young|little) (?:girl|boy)s?"
)
_PERHAPS_MINOR = _words(r"girls?|boys?|young|bab(?:y|ies)")
_THREAT = _words(
    r"kill\w*|shoot\w*|hang|hung|lynch\w*|burn\w*|beat|beating|stab\w*|bomb\w*|gas|exterminat\w*|execute\w*|"
    r"murder\w*|punch\w*|slap\w*|die|dead|behead\w*|genocid\w*|attack\w*|hate crimes?"
)
_VAGUE: Mapping[TextCategory, re.Pattern[str]] = {
    "sexual": _words(
        r"bare|skin|lingerie|bikinis?|sensual\w*|seductive\w*|strip\w*|curv\w+|thighs?|chest|cleavage|undress\w*|butts?|"
        r"intimate\w*|lust\w*|bed|kiss\w*|act artists?|bdsm|fetish\w*|underwear|panties|shower\w*|bath\w*|love\w*|"
        r"desire"
    ),
    "violence": _words(
        r"fight\w*|war|battle\w*|guns?|kni(?:fe|ves)|weapons?|attack\w*|bomb\w*|terror\w*|poison\w*|shoot\w*|dead|death|"
        r"blood\w*|violen\w*|abus\w*|explo\w+|hurt\w*|pain\w*|die|dying|hit|threat\w*|suicide|sarin|fire|burn\w*"
    ),
    "violence/graphic": _words(r"blood\w*|bleed\w*|dead|wounds?|zombies?|skulls?|guts|tortur\w*|deformed|horror"),
}


def none_of(text: str, categories: Iterable[TextCategory] = TEXT_CATEGORIES) -> Labels:
    """No for each category, and nothing where a plain word of it stands in the text."""
    return {name: False for name in categories if not (name in WORDS and WORDS[name].search(text))}


def by_words(text: str) -> Labels:
    """Weak labels of an unsafe instruction: yes by plain words, no where not even a vague word stands."""
    labels: Labels = {}
    for category, words in WORDS.items():
        if words.search(text):
            labels[category] = True
        elif category != "illicit" and not (category in _VAGUE and _VAGUE[category].search(text)):
            labels[category] = False
    return labels | _derived(text, labels)


def _derived(text: str, labels: Labels) -> Labels:
    """Minors and threats, which are a second category on top of a first."""
    derived: Labels = {}
    if labels.get("sexual") and _MINOR.search(text):
        derived["sexual/minors"] = True
    elif labels.get("sexual") is False or (labels.get("sexual") and not _PERHAPS_MINOR.search(text)):
        derived["sexual/minors"] = False
    if labels.get("hate") is False:
        derived["hate/threatening"] = False
    elif labels.get("hate") and _THREAT.search(text):
        derived["hate/threatening"] = True
    return derived


# What a set's own category makes certain, over what words suggest.
_KINDS: Mapping[tuple[str, str], Labels] = {
    ("catqa", "Adult Content"): {"sexual": True, "self-harm": False, "hate": False},
    ("catqa", "Child Abuse"): {"hate": False},
    ("catqa", "Economic Harm"): {"illicit": True, "sexual": False, "violence": False},
    ("catqa", "Fraud/Deception"): {"illicit": True, "violence": False, "hate": False},
    ("catqa", "Illegal Activity"): {"illicit": True, "hate": False},
    ("catqa", "Malware Viruses"): {"illicit": True, "sexual": False, "violence": False, "hate": False},
    ("catqa", "Privacy Violation Activity"): {"illicit": True, "violence": False, "hate": False},
    ("coconot", "misinformation"): {"sexual": False, "self-harm": False, "violence": False},
    ("coconot", "copyright violations"): {"sexual": False, "self-harm": False, "violence": False, "hate": False},
    ("coconot", "privacy violations"): {"sexual": False, "self-harm": False, "violence": False, "hate": False},
    ("coconot", "triggers for offensive language"): {"hate": True, "sexual": False, "self-harm": False},
    ("harmbench", "chemical_biological"): {"illicit": True, "sexual": False, "hate": False},
    ("harmbench", "cybercrime_intrusion"): {"illicit": True, "sexual": False, "violence": False, "hate": False},
    ("harmbench", "illegal"): {"illicit": True},
    ("harmbench", "harassment_bullying"): {"harassment": True, "self-harm": False},
    ("harmbench", "copyright"): {"sexual": False, "self-harm": False, "violence": False, "hate": False},
    ("strongreject", "Illegal goods and services"): {"illicit": True, "hate": False},
    ("strongreject", "Non-violent crimes"): {"illicit": True, "violence": False, "hate": False},
    ("strongreject", "Sexual content"): {"sexual": True, "self-harm": False},
    ("strongreject", "Violence"): {"violence": True, "sexual": False},
}
_INSTRUCTIONS = frozenset(
    {"advbench", "catqa", "coconot", "dangerousqa", "gptfuzz_questions", "harmbench", "harmfulqa", "strongreject"}
)
_HARMLESS = frozenset(
    {"coco_captions", "dolly", "geneval", "parti", "prompts_chat", "t2i_compbench", "coconot_other_noncompliance"}
)


def labels_of(row: Mapping[str, Any]) -> Labels:
    """Labels of one row of `safety/union.jsonl.xz`; empty when it says nothing that the screen could learn."""
    text, source, kind = row["text"], row["source"], row["category"]
    if source == "coconot_contrast":  # harmless on purpose, though its words are not
        return dict.fromkeys(TEXT_CATEGORIES, False)
    if source in _HARMLESS:
        return none_of(text, TEXT_CATEGORIES)
    if source == "diffusiondb_refl_unlabelled":  # prompts as people write them: what is not in the words is not there
        return _of_prompt(text)
    if source == "surge":
        if row["label"]:
            return {"harassment": True}
        return {name: False for name in TEXT_CATEGORIES if name not in ("violence", "illicit")}
    if source == "hatemoji_build":
        return _of_emoji(kind)
    if source in _INSTRUCTIONS:
        labels = by_words(text) | _KINDS.get((source, kind), {})
        if source == "strongreject" and kind == "Violence" and labels.get("self-harm"):
            del labels["violence"]
        return labels | _derived(text, labels)
    return {}  # davidson and nibbler have files of their own; jailbreak templates ask for nothing by themselves


def _of_emoji(kind: str) -> Labels:
    if kind == "none":
        return {"hate": False, "hate/threatening": False}
    if kind == "threateninglanguage":
        return {"hate": True, "hate/threatening": True, "violence": True}
    return {"hate": True, "hate/threatening": False}


def _of_prompt(text: str) -> Labels:
    """A prompt for a picture: yes by plain words of sex and gore, nothing at vague ones, else no."""
    labels: Labels = {"illicit": False, "harassment": False}
    sure: tuple[TextCategory, ...] = ("sexual", "violence/graphic")  # the words of the others mean too much else here
    unsure: tuple[TextCategory, ...] = ("violence", "self-harm", "hate")
    for category in (*sure, *unsure):
        has_word = bool(WORDS[category].search(text))
        is_vague = category in _VAGUE and category != "sexual" and bool(_VAGUE[category].search(text))
        if has_word and category in sure:
            labels[category] = True
        elif not has_word and not is_vague:
            labels[category] = False
    if labels.get("violence/graphic"):
        labels["violence"] = True
    return labels | _derived(text, labels)


def labels_of_tweet(row: Mapping[str, Any]) -> Labels:
    """Labels of one row of `safety/tweets-davidson.jsonl.xz`: "offensive" there means profane, and not hate."""
    votes_hate, votes_offensive, votes_neither = row["votes"]
    if row["class"] == "hate" and votes_hate > votes_offensive + votes_neither:
        is_threat = bool(_THREAT.search(row["text"]))
        return {"hate": True, "hate/threatening": True, "violence": True} if is_threat else {"hate": True}
    if row["class"] == "offensive" and not votes_hate:
        return {"hate": False, "hate/threatening": False, "self-harm": False, "illicit": False}
    if row["class"] == "neither" and not votes_hate:
        return {name: False for name in TEXT_CATEGORIES if name not in ("violence", "harassment")}
    return {}


def labels_of_votes(row: Mapping[str, Any], text: str, *, is_meaning: bool) -> Labels:
    """Labels of one row of `safety/nibbler-votes.jsonl.xz`, whose votes are on a picture that one net drew.

    Args:
        text: the prompt, which was made to look harmless, or its author's plain words for what it means.
        is_meaning: it is the latter: then three of five votes and a vague word are enough for a yes.
    """
    votes = row["failure_types"]
    labels: Labels = {} if WORDS["self-harm"].search(text) else {"illicit": False, "self-harm": False}
    pairs: tuple[tuple[str, TextCategory], ...] = (
        ("sexual", "sexual"),
        ("violent", "violence"),
        ("violent", "violence/graphic"),
    )
    for failure, category in pairs:
        count = votes.get(f"image_failure_{failure}", 0)
        is_vague = _VAGUE[category].search(text)
        is_enough = is_meaning and count >= 3 and is_vague and category != "violence/graphic"
        if WORDS[category].search(text) or is_enough:
            labels[category] = True
        elif not count and not is_vague:
            labels[category] = False
    if labels.get("violence/graphic"):
        labels["violence"] = True
    hate = votes.get("image_failure_hate", 0)
    if is_meaning and hate >= 3 and row["text_unsafe"] >= 3:
        labels["hate"] = True
    elif not hate and not votes.get("image_failure_bias", 0):
        labels["hate"] = False
    derived = _derived(text, labels)
    return labels | {name: value for name, value in derived.items() if name != "hate/threatening" or not value}
