"""How customers with Czech names are addressed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.messenger.vocative import vocative

# the hundred or so most common first names of men and women, then surnames; by IJP
MEN = """
Jiří Jiří, Jan Jane, Petr Petře, Josef Josefe, Pavel Pavle, Martin Martine, Tomáš Tomáši, Jaroslav Jaroslave,
Miroslav Miroslave, Zdeněk Zdeňku, František Františku, Václav Václave, Michal Michale, Milan Milane, Karel
Karle, Jakub Jakube, Lukáš Lukáši, David Davide, Vladimír Vladimíre, Ladislav Ladislave, Ondřej Ondřeji, Roman
Romane, Stanislav Stanislave, Marek Marku, Radek Radku, Daniel Danieli, Antonín Antoníne, Vojtěch Vojtěchu,
Filip Filipe, Adam Adame, Miloslav Miloslave, Matěj Matěji, Aleš Aleši, Jaromír Jaromíre, Libor Libore,
Dominik Dominiku, Patrik Patriku, Vlastimil Vlastimile, Jindřich Jindřichu, Miloš Miloši, Oldřich Oldřichu,
Lubomír Lubomíre, Rudolf Rudolfe, Ivan Ivane, Luboš Luboši, Robert Roberte, Štěpán Štěpáne, Radim Radime,
Richard Richarde, Bohumil Bohumile, Matyáš Matyáši, Vít Víte, Ivo Ivo, Rostislav Rostislave, Luděk Luďku,
Dušan Dušane, Kamil Kamile, Šimon Šimone, Vladislav Vladislave, Zbyněk Zbyňku, Bohuslav Bohuslave, Michael
Michaeli, Alois Aloisi, Viktor Viktore, Jozef Jozefe, Štefan Štefane, Vratislav Vratislave, René René, Kryštof
Kryštofe, Eduard Eduarde, Marcel Marceli, Emil Emile, Dalibor Dalibore, Ludvík Ludvíku, Radomír Radomíre,
Tadeáš Tadeáši, Otakar Otakare, Vilém Viléme, Samuel Samueli, Bedřich Bedřichu, Alexandr Alexandře, Denis
Denisi, Vincenc Vincenci, Hynek Hynku, Radovan Radovane, Leoš Leoši, Igor Igore, Oskar Oskare, Oliver Olivere,
Tobiáš Tobiáši, Hugo Hugo, Albert Alberte, Kevin Kevine, Erik Eriku, Sebastian Sebastiane, Mikuláš Mikuláši,
Gabriel Gabrieli, Felix Felixi, Maxim Maxime, Honza Honzo, Jirka Jirko, Pepa Pepo, Oto Oto, Přemysl Přemysle,
Ctibor Ctibore, Boris Borisi, Alex Alexi
"""
WOMEN = """
Marie Marie, Jana Jano, Eva Evo, Hana Hano, Anna Anno, Lenka Lenko, Kateřina Kateřino, Věra Věro, Lucie Lucie,
Alena Aleno, Petra Petro, Veronika Veroniko, Jaroslava Jaroslavo, Tereza Terezo, Martina Martino, Michaela
Michaelo, Jitka Jitko, Helena Heleno, Ludmila Ludmilo, Zdeňka Zdeňko, Ivana Ivano, Monika Moniko, Eliška
Eliško, Zuzana Zuzano, Markéta Markéto, Jarmila Jarmilo, Barbora Barboro, Jiřina Jiřino, Marcela Marcelo,
Kristýna Kristýno, Dana Dano, Adéla Adélo, Dagmar Dagmar, Miroslava Miroslavo, Pavla Pavlo, Vlasta Vlasto,
Andrea Andreo, Irena Ireno, Natálie Natálie, Klára Kláro, Božena Boženo, Nikola Nikolo, Libuše Libuše, Renata
Renato, Karolína Karolíno, Gabriela Gabrielo, Šárka Šárko, Marta Marto, Růžena Růženo, Simona Simono, Iveta
Iveto, Denisa Deniso, Olga Olgo, Daniela Danielo, Romana Romano, Blanka Blanko, Milada Milado, Iva Ivo, Ester
Ester, Miriam Miriam, Nikol Nikol, Karin Karin, Ingrid Ingrid, Sofie Sofie, Alice Alice, Viktorie Viktorie,
Ema Emo, Julie Julie, Laura Lauro, Rozálie Rozálie, Amálie Amálie, Vanesa Vaneso, Vivien Vivien, Beáta Beáto,
Žaneta Žaneto, Mia Mio, Noemi Noemi
"""
SURNAMES = """
Novák Nováku, Nováková Nováková, Svoboda Svobodo, Svobodová Svobodová, Novotný Novotný, Novotná Novotná,
Dvořák Dvořáku, Dvořáková Dvořáková, Černý Černý, Černá Černá, Procházka Procházko, Kučera Kučero, Veselý
Veselý, Horák Horáku, Němec Němče, Pokorný Pokorný, Marek Marku, Pospíšil Pospíšile, Hájek Hájku, Jelínek
Jelínku, Král Králi, Růžička Růžičko, Beneš Beneši, Fiala Fialo, Sedláček Sedláčku, Doležal Doležale, Zeman
Zemane, Kolář Koláři, Krejčí Krejčí, Navrátil Navrátile, Čermák Čermáku, Urban Urbane, Vaněk Vaňku, Blažek
Blažku, Kratochvíl Kratochvíle, Kovář Kováři, Bartoš Bartoši, Vlček Vlčku, Musil Musile, Polák Poláku, Šimek
Šimku, Konečný Konečný, Malý Malý, Čech Čechu, Staněk Staňku, Štěpánek Štěpánku, Kadlec Kadleci, Moravec
Moravče, Šťastný Šťastný, Soukup Soukupe, Mareš Mareši, Valenta Valento, Janů Janů, Petrů Petrů, Švec Ševče,
Purkyně Purkyně, Vávra Vávro, Sýkora Sýkoro, Bláha Bláho, Kříž Kříži, Tichý Tichý, Holub Holube, Kohout
Kohoute, Jaroš Jaroši
"""
FOREIGN = (
    "Nguyen Linh John Sarah Noah Andrew Łukasz Jürgen Grégoire Ľuboš Søren Ольга 李 Kenneth Scott Jacques O'Neil"
)


def pairs(text: str) -> list[tuple[str, str]]:
    return [(words[0], words[1]) for pair in text.split(",") if (words := pair.split())]


@pytest.mark.parametrize(("name", "called"), pairs(MEN) + pairs(WOMEN) + pairs(SURNAMES))
def test_czech_names(name: str, called: str) -> None:
    assert vocative(name) == called
    assert vocative(name.upper()) == called.upper()
    assert vocative(name.lower()) == called.lower()


def test_there_are_enough_of_them() -> None:
    assert (len(pairs(MEN)), len(pairs(WOMEN)), len(pairs(SURNAMES))) >= (100, 70, 60)


@pytest.mark.parametrize("name", FOREIGN.split())
def test_foreign_names_stay(name: str) -> None:
    assert vocative(name) == name


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("Jana Nováková", "Jano Nováková"),
        ("Petr Novák", "Petře Nováku"),
        ("Anna-Marie Svobodová", "Anno-Marie Svobodová"),
        ("Carmen Veselá", "Carmen Veselá"),
        ("Zoe Novakova", "Zoe Novakova"),
        ("Ing. Karel  Hájek", "Ing. Karle  Hájku"),
        ("pan Dvořák", "pane Dvořáku"),
        ("J. K.", "J. K."),
        ("", ""),
    ],
)
def test_several_names(name: str, called: str) -> None:
    assert vocative(name) == called


@given(st.text())
def test_anything_can_be_called(name: str) -> None:
    assert len(vocative(name)) <= 2 * len(name) + 2


@given(st.text(st.sampled_from("abcdefghijklmnoprstuvyzáčďéěíňóřšťúůýžABCŘŽ -"), max_size=30))
def test_only_endings_change(name: str) -> None:
    called = vocative(name)
    assert [w[:1] for w in name.split()] == [w[:1] for w in called.split()]
    assert len(name.split()) == len(called.split())
