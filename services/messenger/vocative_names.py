"""Names whose vocative their ending does not tell."""

from collections.abc import Mapping

WHOLE: Mapping[str, str] = {
    # e that comes and goes
    "karel": "karle",
    "pavel": "pavle",
    "havel": "havle",
    "orel": "orle",
    "kozel": "kozle",
    "datel": "datle",
    "vrabel": "vrable",
    "chmel": "chmele",
    "švec": "ševče",
    "kadlec": "kadleci",
    "hudec": "hudče",
    "derek": "dereku",
    "alek": "aleku",
    "bek": "beku",
    # soft in spite of their letters, and the other way round
    "král": "králi",
    "kůl": "kůle",
    "mol": "mole",
    "bůh": "bože",
    "kněz": "knězi",
    # foreign endings that Czech has made its own
    "max": "maxi",
    "walter": "waltere",
    "wagner": "wagnere",
    "werner": "wernere",
    "wolf": "wolfe",
    "edward": "edwarde",
    "johann": "johanne",
    "zikmund": "zikmunde",
    "leo": "leo",
    "bach": "bachu",
    "čech": "čechu",
    "müller": "müllere",
    "kryštof": "kryštofe",
}
"""Lower case."""

_FOREIGN = """
anh bui charles chen dang denise dinh do duc dung duong georges gilles hai hang hanh hans hieu hoa hoang hong
huang hung huong jacques james jean jens jin jules khanh kim lan lars le li lin linh liu long louis mai manh
minh nam ngo ngoc nguyen nhung nicolas niels pham phan phuong quang son sun thanh thao thi thomas-louis thu thuy
tien tran trang trinh trung truong tu tuan tung van viet vu wang xuan yang yen yves zhang zhao
"""
FOREIGN = frozenset(_FOREIGN.split())
"""Names that Czech speakers use as they are."""

_SAME_FOR_WOMEN = """
abigail adel agnes alison astrid babet birgit bridget brigit caitlin carmen carol dagmar deborah dolores doris
edit eileen elen elin elisabet elisabeth elizabet elizabeth ellen erin estel ester esther evelin evelyn gertrud
gudrun gwen hannah heidrun helen hilary ines ingeborg ingrid iren iris irén isabel izabel janet jasmin jazmin
jazmín jocelyn judit judith juliet karen karin karmen karolin katrin kristin lauren lilian lilien lilit linet
mabel madlen margaret margit marilyn marion marlen megan mercedes meryl michaelin miriam mirjam muriel nicol
nikol nikolet noor rachel raquel rut ruth ráchel rút salomé sarah scarlet sharon sigrid silvien susan tamar
violet vivian vivien yasmin zoraida zuzan žanet
"""
SAME_FOR_WOMEN = frozenset(_SAME_FOR_WOMEN.split())
"""Women whose names end like a man's."""
