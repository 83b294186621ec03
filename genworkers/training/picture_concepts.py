"""Which drawn things belong to which category of the picture screen: a table of our own, made by looking at all names.

Stickers are listed one by one (all 1,658 names were read); icons are thousands, so words of their names are listed.
What is in neither list is none of a category; what could be argued about is unsure, and then nobody learns from it.
People are never positive for what they wear or how they move: no headscarf is "religion", no wheelchair "medical".
"""

import re
from collections.abc import Collection, Mapping

from genworkers.contract.safety import PictureCategory

# The categories that the corpus shows often enough to learn them. It has no pictures of flags and none of naked people.
KNOWN: tuple[PictureCategory, ...] = (
    "weapons",
    "gestures",
    "alcohol-tobacco",
    "gambling",
    "death",
    "medical",
    "religion",
)
NO, YES, UNSURE = 0, 1, -1

STICKERS: Mapping[PictureCategory, Mapping[str, str]] = {
    "weapons": {
        "1f3f9": "bow and arrow", "1f4a3": "bomb", "1f52a": "kitchen knife", "1f52b": "water pistol",
        "1f5e1": "dagger", "1fa93": "axe", "2694": "crossed swords",
    },
    "gestures": {"1f595": "middle finger"},
    "alcohol-tobacco": {
        "1f376": "sake", "1f377": "wine glass", "1f378": "cocktail glass", "1f379": "tropical drink",
        "1f37a": "beer mug", "1f37b": "clinking beer mugs", "1f37e": "bottle with popping cork",
        "1f6ac": "cigarette", "1f942": "clinking glasses", "1f943": "tumbler glass",
    },
    "gambling": {
        "1f004": "mahjong red dragon", "1f0cf": "joker", "1f3b0": "slot machine", "1f3b2": "game die",
        "1f3b4": "flower playing cards", "2660": "spade suit", "2663": "club suit",
    },
    "death": {
        "1f3f4-200d-2620": "pirate flag", "1f480": "skull", "1faa6": "headstone", "2620": "skull and crossbones",
        "26b0": "coffin", "26b1": "funeral urn",
    },
    "medical": {
        "1f468-200d-2695": "man health worker", "1f469-200d-2695": "woman health worker", "1f489": "syringe",
        "1f48a": "pill", "1f3e5": "hospital", "1f637": "face with medical mask", "1f691": "ambulance",
        "1f912": "face with thermometer", "1f915": "face with head-bandage", "1f9a0": "microbe",
        "1f9d1-200d-2695": "health worker", "1fa78": "drop of blood", "1fa79": "adhesive bandage",
        "1fa7a": "stethoscope", "1fa7b": "x-ray", "1fa7c": "crutch", "1fac0": "anatomical heart", "1fac1": "lungs",
        "2695": "medical symbol",
    },
    "religion": {
        "1f4ff": "prayer beads", "1f52f": "dotted six-pointed star", "1f549": "om", "1f54b": "kaaba",
        "1f54c": "mosque", "1f54d": "synagogue", "1f54e": "menorah", "1f6d0": "place of worship",
        "1f6d5": "hindu temple", "1faac": "hamsa", "1faaf": "khanda", "2626": "orthodox cross",
        "262a": "star and crescent", "262f": "yin yang", "2638": "wheel of dharma", "26e9": "shinto shrine",
        "26ea": "church", "271d": "latin cross", "2721": "star of David",
    },
}  # fmt: skip
UNSURE_STICKERS: Mapping[PictureCategory, Mapping[str, str]] = {
    "weapons": {
        "1f482": "guard", "1f482-200d-2640": "woman guard", "1f482-200d-2642": "man guard",
        "1f498": "heart with arrow", "1f4a5": "collision", "1f531": "trident emblem", "1f6e1": "shield",
        "1f93a": "person fencing", "1f977": "ninja", "1f9e8": "firecracker", "1fa83": "boomerang",
        "1fa96": "military helmet", "1f92f": "exploding head",
    },
    "gestures": {"1f44c": "OK hand", "1f918": "sign of the horns"},  # harmless here, rude elsewhere
    "alcohol-tobacco": {
        "1f3fa": "amphora", "1f6ad": "no smoking", "1f974": "woozy face", "1f9c9": "mate", "1fad7": "pouring liquid",
    },
    "gambling": {
        "1f3b1": "pool 8 ball", "1f3c7": "horse racing", "1f340": "four leaf clover", "1fa99": "coin",
        "2618": "shamrock", "2665": "heart suit", "2666": "diamond suit",
    },
    "death": {
        "1f47b": "ghost", "1f479": "ogre", "1f47d": "alien", "1f56f": "candle", "1f635": "face with crossed-out eyes",
        "1f9b4": "bone", "1f9df": "zombie", "1f9df-200d-2640": "woman zombie", "1f9df-200d-2642": "man zombie",
        "1fa78": "drop of blood", "1fa7b": "x-ray", "271d": "latin cross", "2622": "radioactive", "2623": "biohazard",
    },
    "medical": {
        "1f17f": "P button", "1f198": "SOS button", "1f321": "thermometer", "1f52c": "microscope",
        "1f922": "nauseated face", "1f927": "sneezing face", "1f92e": "face vomiting", "1f97c": "lab coat",
        "1f9b4": "bone", "1f9b7": "tooth", "1f9bb": "ear with hearing aid", "1f9e0": "brain", "1f9ea": "test tube",
        "1f9eb": "petri dish", "1f9ec": "dna", "1f9f4": "lotion bottle", "2623": "biohazard",
        "26d1": "rescue worker’s helmet", "2764-200d-1fa79": "mending heart", "2795": "plus",
        "1f468-200d-1f52c": "man scientist", "1f469-200d-1f52c": "woman scientist", "1f9d1-200d-1f52c": "scientist",
    },
    "religion": {
        "1f385": "Santa Claus", "1f384": "Christmas tree", "1f47c": "baby angel", "1f492": "wedding",
        "1f531": "trident emblem", "1f56f": "candle", "1f607": "smiling face with halo", "1f64f": "folded hands",
        "1f9ff": "nazar amulet", "1fa94": "diya lamp", "1faa6": "headstone", "26b0": "coffin", "269b": "atom symbol",
        "269c": "fleur-de-lis", "2795": "plus", "1f319": "crescent moon", "2734": "eight-pointed star",
    },
}  # fmt: skip

# Words of an icon's name. A name that holds one of EXCEPT is judged without it; one of UNSURE_WORDS makes it unsure.
ICON_WORDS: Mapping[PictureCategory, str] = {
    "weapons": """sword swords broadsword katana gladius saber sabers sabre sabres dagger daggers knife knives gun
        pistol pistols revolver rifle shotgun uzi ak47 ak47u axe axes hatchet hatchets tomahawk halberd
        glaive spear spears harpoon mace flail warhammer crossbow archer bowman grenade bomb bombs
        dynamite missile torpedo bullet bullets ammunition musket blunderbuss shuriken sai kusarigama
        machete cleaver bayonet famas glock luger mp40 mp5 mp5k p90 winchester minigun chaingun autogun
        bolter grenades claymore molotov knuckles nunchaku lance flamethrower switchblade scimitar bowie
        ak enfield thompson walther beretta colt desert-eagle fal mac-10 tec-9 skorpion steyr cannon
        chakram swordman swordwoman explosive-materials broadhead-arrow sawed-off bat-leth scythe
        war-pick""",
    "gestures": "",
    "alcohol-tobacco": """beer wine cocktail martini liquor sake whisky champagne brandy booze cigar cigarette joint
        smoking pint glass-flute stange glass-tulip mug cheers keg hookah corkscrew""",
    "gambling": """dice dices die poker card-ace card-king card-queen card-jack slot-machine club spade clubs
        spades cards-club cards-spade cards-diamond cards-heart roulette d10 d12 d20 d4 d6 d8 backgammon
        domino-tiles suit-club suit-spade cards-playing""",
    "death": """skull skulls skeleton coffin grave graveyard tombstone reaper corpse sarcophagus gibbet
        guillotine hasty-grave crypt headstone jolly chopped-skull decapitation chalk-outline skeletal
        bones""",
    "medical": """syringe pill pills stethoscope hospital ambulance bandage bandaged bandages bandaid bandaids
        medical medicine medication doctor caduceus asclepius virus virus2 bacteria defibrilate scalpel
        first-aid heartbeat heart-pulse lungs kidneys transfuse blood-bag iv-bag prescription
        prescription2 hypodermic plaster arm-sling sticking-plaster capsule nurse tablets
        microscope-medical antibody health-capsule heart-organ crutch""",
    "religion": """church mosque synagogue crucifix menorah khanda dharmachakra yin-yang star-of-david star-david
        star-crescent star-and-crescent ankh rub-el-hizb cathedral prayer-beads cross-celtic
        cross-bolnisi book-cross crown-cross temple-hindu temple-buddhist shinto-shrine holy-symbol
        hell-crosses jerusalem-cross camargue-cross pope nun om bible torah triple-yin""",
}
ICON_NAMES: Mapping[tuple[str, str], PictureCategory] = {
    ("mdi", "cross"): "religion",
    ("phosphor", "cross"): "religion",
    ("mdi", "bow-arrow"): "weapons",
    ("game_icons", "bow-arrow"): "weapons",
    ("game_icons", "pocket-bow"): "weapons",
    ("game_icons", "high-shot"): "weapons",
    ("mdi", "mace"): "weapons",
    ("mdi", "tank"): "weapons",
}
EXCEPT: Mapping[PictureCategory, str] = {
    "weapons": """fork-knife silverware pizza-cutter swiss-army-knife nail-gun glue-gun bullet-bill spray-gun
        heat-gun human-cannonball fire-axe-off box-cutter light-gun list-bullets chart-no-axes
        knife-fork mug-shot saber-toothed-cat-head saber-tooth magazine-pistol magazine-rifle
        machine-gun-magazine""",
    "gestures": "",
    "alcohol-tobacco": "coffee-mug smoking-volcano fish-smoking smoking-orb mug-shot",
    "gambling": "golf-club wood-club wallet-cards trench-spade juggling-clubs sword-spade spade-skull",
    "death": "skeleton-key leaf-skeleton",
    "medical": "apollo-capsule mother-nurse",
    "religion": "shinto-shrine-mirror",
}
UNSURE_WORDS: Mapping[PictureCategory, str] = {
    "weapons": """arrow arrows arrowed arrowhead bow archery arrow-flights weapon sling slingshot whip bola bolas
        catapult trebuchet ballista turret tank battleship bomber fighter jet soldier crosshair
        crosshairs target explosion explosive blast nuke nuclear mine shield trident fencing fencer duel
        stakes razor blade blades scissors saw chainsaw sickle hammer mallet club boomerang lightsaber
        military knight samurai ninja war spade-war scabbard hilt pickaxe firework fireworks rocket claw
        claws slash slashes slashing strike laser ray-gun zat-gun plasma stiletto magazine holster
        headshot shot backstab assassin stab spiked spikes shots revolt cement battle combat cruiser
        destroyer baton bludgeon fork trishula lucifer-cannon machine warlord police-target quiver
        ricochet switch-weapon drop-weapon gunshot attack hunting kill killer knife-fork throw thrown
        halt confrontation cut projectile propelled shell artillery field-gun pick crush fuse-blade ammo
        rounds molten siege executioner sharp pointy bone-knife lance-corporal steel-claws caltrops tnt
        detonator stun wrecking""",
    "gestures": "middle-finger fist mailed-fist evil-hand button-finger okay hand-ok horns rude punch",
    "alcohol-tobacco": """bottle glass glasses goblet chalice barrel cannabis hemp vape smoke tavern pub bar stein horn
        cork drink drinking cup potion flask smoker ashtray lighter grape grapes hops hop barley
        martini-off cauldron no-smoking smoking-off cigarette-off beer-off wine-off cigar-off
        tulip-flower amphora jug grail cigarettes smoking smoking-finger drunk pouring""",
    "gambling": """card cards casino gambling gamble bet lottery chip chips coin coins domino clover joker tarot
        credits chess wheel suit hearts diamonds eight-ball fortune roll rolling pawn cube perspective
        token ace king queen jack dominoes clubs""",
    "death": """dead death ghost bone bones zombie kill killer hanged grim lich undead mummy soul spectre
        funeral urn urns poison toxic hazard blood bloody wound ribcage spooky haunting half-dead
        executioner monster demon daemon devil diablo evil lost-limb severed amputation suicide murder
        shrunken voodoo fossil lethal deathly sacrificial stake vampire frankenstein headshot drowning
        imprisoned pirate carrion cultist scarecrow mask morbid dread halloween fishbone animal-skull
        backbone jawbone mortal""",
    "medical": """thermometer health healing heal pulse needle brain tooth teeth stomach organ dna microscope tube
        tubes surgery surgeon mask bone ribcage wound anatomy remedy lab flask liver eye ear nose injury
        sick biohazard plus embryo germ pharmacy potion drop blood plus-circle monitor fracture vial
        pestle mortar plague cancer tumor fetus radiology emergency aid clinic cotton-swab wheelchair
        amputation internal serum tweezers inhaler heart-minus heart-plus life-support mend cross
        h-square h-circle vaccine iv diabetes allergy cells love-injection back-pain pain body
        ultrasound x-ray xray activity stretcher hazmat knee-cap""",
    "religion": """cross crosses temple shrine altar angel holy god gods saint monk priest cleric pray prayer
        praying halo crescent star-altar candelabra candle candles heaven hell pyramid anubis horus djed
        totem bishop grave graveyard tombstone coffin star pentagram pentacle pentacles crown-of-thorns
        stigmata grail kosher halal buddha meditation lotus dove ark rosary hexagram rune runic
        triquetra templar-heart abbot sphinx bastet akhet djinn enlightenment angel-wings angel-outfit
        ichthus fish-symbol incense aspergillum coliseum medicines sacrificial plus hospital-cross
        first-aid ritual cultist faith spiritual sacred divinity apollo zeus venus-of-willendorf ophanim
        templar tetragrammaton allied-star eight-pointed rub-el nazar omega ohm tarot""",
}
# Tags say more than names: an icon with such a tag and no word above is unsure.
UNSURE_TAGS: Mapping[PictureCategory, str] = {
    "weapons": r"weapon|\bgun|\bsword|\bwar\b|bomb|explos",
    "gestures": r"middle finger|\brude",
    "alcohol-tobacco": r"alcohol|\bbeer|\bwine|liquor|smok|cigar|tobacco|drugs",
    "gambling": r"casino|gambl|poker|\bdice",
    "death": r"death|\bdead|skull|halloween|kill",
    "medical": r"medic|health|doctor|hospital|pharm",
    "religion": r"relig|christian|islam|jewish|hindu|buddh|church|pray|faith",
}
_ENDINGS = re.compile(r"(?:-(?:fill|outline|duotone|regular|thin|off|plus|minus|check|alert|multiple|variant|\d+))+\Z")


def sticker_labels(key: str) -> list[int]:
    """YES, NO or UNSURE for each category of KNOWN."""
    return [
        YES if key in STICKERS[category] else UNSURE if key in UNSURE_STICKERS[category] else NO for category in KNOWN
    ]


def icon_concept(name: str) -> str:
    """What variants of one icon have in common: "lorc__axe-swing" is axe-swing, "beer-off" and "beer-fill" are beer."""
    bare = name.rpartition("__")[2]
    return _ENDINGS.sub("", bare) or bare


def icon_labels(icon_set: str, name: str, tags: Collection[str]) -> list[int]:
    """YES, NO or UNSURE for each category of KNOWN; a crossed-out icon ("smoking-off") is always unsure where not NO.

    Args:
        icon_set: its first word counts: "phosphor_fill" and "phosphor_duotone" are one.
    """
    bare = name.rpartition("__")[2]
    family = icon_set if icon_set == "game_icons" else icon_set.partition("_")[0]
    labels = []
    for category in KNOWN:
        is_listed = ICON_NAMES.get((family, _ENDINGS.sub("", bare))) == category
        is_excepted = _holds(bare, EXCEPT[category])
        if (is_listed or _holds(bare, ICON_WORDS[category])) and not is_excepted:
            labels.append(UNSURE if re.search(r"-(?:off|slash)\b", bare) else YES)
        elif _holds(bare, UNSURE_WORDS[category]) or any(re.search(UNSURE_TAGS[category], tag.lower()) for tag in tags):
            labels.append(UNSURE)
        else:
            labels.append(NO)
    return labels


def _holds(name: str, listed: str) -> bool:
    """True where a listed word, or several joined by hyphens, stands whole in a hyphenated name."""
    return any(f"-{words}-" in f"-{name}-" for words in listed.split())
