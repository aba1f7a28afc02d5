# SPDX-License-Identifier: MIT
"""The demo model's corpus, generated: nothing is downloaded or copied.

usage: corpus.py train COUNT > corpus.jsonl     conversations to learn from
       corpus.py heldout     > heldout.jsonl    questions that those never have

The same seed gives the same bytes. A sum, a number to convert, a list or a
word whose hash falls into one of ten parts is never trained on; `heldout` asks
these only. Of the guide it asks what guide.py holds back ("guide") and what
blind.json has ("blind"): questions by someone who was told the topics and saw
neither guide.py nor an answer. Needs Python's standard library alone.
"""
import hashlib
import json
import os
import random
import sys

from guide import FACTS, FRAMES, fill

SEED = 20261121

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "blind.json"), encoding="utf-8") as f:
    BLIND = json.load(f)


def bare(question):
    """Case and marks aside: what counts as the same question."""
    return "".join(c for c in question.lower() if c.isalnum() or c == " ")


NEVER_TRAINED = {bare(q) for q in [f.other_words for f in FACTS] +
                 [q for questions in BLIND.values() for q in questions]}


def held_out(category, key):
    digest = hashlib.sha1(f"{category}:{key}".encode()).digest()
    return digest[0] % 10 == 0


class Maker:
    """Draws turns of one side of the split: (question, answer, expected)."""

    def __init__(self, rng, for_test):
        self.rng = rng
        self.for_test = for_test

    def pick(self, *choices):
        return self.rng.choice(choices)

    def draw(self, category, make):
        """make() -> (key, question, answer, expected) until it is ours."""
        while True:
            key, question, answer, expected = make()
            if held_out(category, key) == self.for_test:
                return question, answer, expected

    # The guide: a quarter whole questions, else phrases in frames.
    def guide(self):
        fact = self.rng.choice(FACTS)
        while True:
            question = (fact.framed(self.rng) if self.rng.random() < 0.75
                        else None) or self.rng.choice(fact.questions)
            if bare(question) not in NEVER_TRAINED:
                return self.vary(question), fact.answer, fact.expected

    def vary(self, question):
        """The same question as people type it."""
        r = self.rng.random()
        lower = question[0].lower() + question[1:]
        if question.split()[0] in ("I", "slm", "slm-run", "TTFT"):
            lower = question
        if self.rng.random() < 0.05:
            lower = question = self.mistyped(question)
        if r < 0.40:
            return question
        if r < 0.55:
            return question.rstrip("?.").lower()
        if r < 0.65:
            return self.pick("Please tell me: ", "A question: ", "Hi, ",
                             "Hello! ", "Quick question: ", "One more: ",
                             "Tell me, ") + lower
        if r < 0.75:
            return question + self.pick(" Thanks!", " Please explain.",
                                        " Briefly, please.", " I am new here.",
                                        " I don't know.")
        if r < 0.85:
            return question.rstrip("?.")
        if r < 0.95:
            return lower
        return self.pick("and ", "so ", "ok, ") + lower

    def mistyped(self, text):
        """Two letters in the wrong order, or one that is missing."""
        at = self.rng.randrange(len(text) - 1)
        if self.rng.random() < 0.5:
            return text[:at] + text[at + 1] + text[at] + text[at + 2:]
        return text[:at] + text[at + 1:]

    # Sums.
    def plus(self):
        def make():
            a, b = self.rng.randrange(100), self.rng.randrange(100)
            s = str(a + b)
            q = self.pick(f"What is {a} + {b}?", f"{a} + {b}", f"{a}+{b}=?",
                          f"What is {a} plus {b}?", f"Add {a} and {b}.",
                          f"Calculate {a} + {b}.", f"How much is {a} plus {b}?")
            return (a, b), q, f"{a} + {b} = {s}", f"= {s}"
        return self.draw("plus", make)

    def minus(self):
        def make():
            a, b = self.rng.randrange(100), self.rng.randrange(100)
            a, b = max(a, b), min(a, b)
            s = str(a - b)
            q = self.pick(f"What is {a} - {b}?", f"{a} - {b}", f"{a}-{b}=?",
                          f"What is {a} minus {b}?", f"Subtract {b} from {a}.",
                          f"Calculate {a} - {b}.", f"How much is {a} minus {b}?")
            return (a, b), q, f"{a} - {b} = {s}", f"= {s}"
        return self.draw("minus", make)

    def times(self):
        def make():
            a, b = self.rng.randrange(13), self.rng.randrange(13)
            s = str(a * b)
            q = self.pick(f"What is {a} * {b}?", f"{a} * {b}", f"{a} x {b} = ?",
                          f"What is {a} times {b}?", f"Multiply {a} by {b}.",
                          f"How much is {a} times {b}?")
            return (a, b), q, f"{a} * {b} = {s}", f"= {s}"
        return self.draw("times", make)

    # Units.
    UNITS = [("kilometers", "meters", 1000), ("meters", "centimeters", 100),
             ("centimeters", "millimeters", 10), ("kilograms", "grams", 1000),
             ("hours", "minutes", 60), ("minutes", "seconds", 60),
             ("days", "hours", 24), ("weeks", "days", 7),
             ("liters", "milliliters", 1000), ("years", "months", 12),
             ("kilobytes", "bytes", 1000)]

    def units(self):
        def make():
            big, small, factor = self.rng.choice(self.UNITS)
            n = self.rng.randrange(2, 31 if factor not in (24, 7, 12) else 13)
            s = n * factor
            q = self.pick(f"How many {small} are {n} {big}?",
                          f"Convert {n} {big} to {small}.",
                          f"{n} {big} in {small}",
                          f"What is {n} {big} in {small}?",
                          f"How many {small} are in {n} {big}?")
            return (big, n), q, f"{n} {big} are {s} {small}.", f"are {s}"
        return self.draw("units", make)

    # Formats.
    NAMES = ("Ann Ben Carla David Emma Finn Grace Henry Ida Jack Kim Leo Mia "
             "Noah Olga Paul Rosa Sam Tina Uma Victor Wendy Yuki Zoe").split()
    CITIES = ("Berlin Paris London Madrid Rome Vienna Oslo Seoul Tokyo Beijing "
              "Cairo Lima Boston Sydney").split()
    THINGS = ("apples bread milk eggs rice tea coffee cheese tomatoes onions "
              "carrots butter salt sugar honey oranges bananas pasta soup fish "
              "pens paper books lamps chairs").split()
    WORDS = ("river table garden window yellow silver mountain winter summer "
             "paper candle bridge forest flower island pencil rocket button "
             "market basket dragon engine kitchen ladder mirror needle "
             "orange pillow rabbit school ticket valley wagon zebra cloud "
             "stone house water light bread chair horse train apple banana "
             "bottle branch breakfast brother camera carpet castle cellar "
             "cheese cherry church circle coffee copper cotton cousin doctor "
             "dinner eagle earth evening family farmer father feather finger "
             "flame floor fruit ghost giant glass glove grain grass guitar "
             "hammer harbor heart helmet hill honey hotel hunter insect "
             "jacket jewel jungle kettle king knife lake lamp lemon letter "
             "library lion magnet maple meadow melon metal milk minute "
             "monkey month morning mother mouse music nation neighbor nest "
             "night north number ocean office onion oven owl package palace "
             "parrot peach pepper piano picture pirate planet plate pocket "
             "poem potato prince pumpkin puzzle queen rain rainbow ring road "
             "robin roof rope rose sailor salad sand saucer scarf season "
             "shadow sheep shelf ship shirt shoe sister snow soldier spider "
             "spoon spring square stairs star station storm story street "
             "student sugar sweater sword teacher temple thunder tiger "
             "tomato tower town toy tree triangle tunnel turtle uncle "
             "village violin voice wall weather wheel whale wheat wing wolf "
             "wood wool word world yard year ").split()

    def json_person(self):
        def make():
            name, city = self.rng.choice(self.NAMES), self.rng.choice(self.CITIES)
            age = self.rng.randrange(5, 90)
            if self.rng.random() < 0.5:
                q = self.pick(
                    f"Write JSON for a person with the name {name} and the age {age}.",
                    f"Make a JSON object: name {name}, age {age}.",
                    f"name {name}, age {age} as JSON",
                    f"Format as JSON: {name} is {age} years old.")
                a = json.dumps({"name": name, "age": age})
                return (name, age), q, a, a
            q = self.pick(
                f"Write JSON for a person with the name {name} and the city {city}.",
                f"Make a JSON object: name {name}, city {city}.",
                f"name {name}, city {city} as JSON",
                f"Format as JSON: {name} lives in {city}.")
            a = json.dumps({"name": name, "city": city})
            return (name, city), q, a, a
        return self.draw("json", make)

    def bullets(self):
        def make():
            items = self.rng.sample(self.THINGS, self.rng.randrange(2, 5))
            text = ", ".join(items)
            kind = self.rng.randrange(3)
            if kind == 0:
                q = self.pick(f"Make a list: {text}", f"Write as a list: {text}",
                              f"A bullet list of {text}, please.",
                              f"Format as a list: {text}")
                a = "\n".join("- " + i for i in items)
            elif kind == 1:
                q = self.pick(f"Make a numbered list: {text}",
                              f"Number these: {text}",
                              f"Write as a numbered list: {text}")
                a = "\n".join(f"{n}. {i}" for n, i in enumerate(items, 1))
            else:
                q = self.pick(f"Make a JSON list: {text}",
                              f"Write as a JSON array: {text}",
                              f"{text} as a JSON list")
                a = json.dumps(items)
            return text, q, a, a
        return self.draw("bullets", make)

    def words(self):
        def make():
            w = self.rng.choice(self.WORDS)
            kind = self.rng.randrange(4)
            if kind == 0:
                q = self.pick(f"Write {w} in capital letters.",
                              f"Make {w} uppercase.", f"{w} in uppercase",
                              f"{w} in capitals", f"Uppercase: {w}",
                              f"Write the word {w} in capital letters.")
                a = w.upper()
            elif kind == 1:
                q = self.pick(f"Spell {w}.", f"How do you spell {w}?",
                              f"Spell the word {w}.", f"Spell out {w}.",
                              f"spell {w}", f"Can you spell {w}?")
                a = "-".join(w)
            elif kind == 2:
                q = self.pick(f"What is the first letter of {w}?",
                              f"First letter of {w}?",
                              f"With which letter does {w} begin?",
                              f"{w} begins with which letter?")
                a = f"The first letter of {w} is {w[0]}."
            else:
                q = self.pick(f"How many letters has {w}?",
                              f"Count the letters of {w}.",
                              f"How long is the word {w}?",
                              f"How many letters are in {w}?")
                a = f"{'-'.join(w)}: {len(w)} letters."
            return (kind, w), q, a, a
        return self.draw("words", make)

    OPPOSITES = ("big small;hot cold;day night;up down;long short;fast slow;"
                 "old new;happy sad;open closed;full empty;light dark;"
                 "early late;high low;hard soft;rich poor;left right;"
                 "clean dirty;strong weak;thick thin;near far").split(";")

    def opposites(self):
        a, b = self.rng.choice(self.OPPOSITES).split()
        if self.rng.random() < 0.5:
            a, b = b, a
        q = self.pick(f"What is the opposite of {a}?", f"Opposite of {a}?",
                      f"The opposite of {a}", f"Name the opposite of {a}.")
        return q, f"The opposite of {a} is {b}.", b

    # Stories from a grammar.
    HEROES = ("cat dog fox rabbit bear mouse bird horse robot dragon girl boy "
              "king queen farmer sailor").split()
    PLACES = ("a green forest;a small village;an old castle;a quiet valley;"
              "a house by the sea;a busy town;a snowy mountain;"
              "a big garden").split(";")
    FINDS = ("a golden key;a lost letter;a tiny door;a shiny stone;a red kite;"
             "an old map;a warm hat;a silver bell;a strange egg").split(";")
    FRIENDS = ("owl frog squirrel snail duck goat hedgehog fish bee "
               "turtle").split()

    def story(self):
        def make():
            hero, name = self.rng.choice(self.HEROES), self.rng.choice(self.NAMES)
            place, find = self.rng.choice(self.PLACES), self.rng.choice(self.FINDS)
            friend = self.rng.choice(self.FRIENDS)
            q = self.pick(f"Tell me a story about a {hero}.",
                          f"Write a short story about a {hero}.",
                          f"A story about a {hero}, please.",
                          f"Can you tell a story about a {hero}?",
                          f"tell me a story with a {hero}")
            first = self.pick("Once upon a time", "Long ago", "One day")
            middle = self.pick(
                f"One morning {name} found {find}.",
                f"On a rainy day {name} saw {find} in the grass.",
                f"Walking home, {name} found {find}.")
            meeting = self.pick(
                f"\"Whose is this?\" asked {name}. A {friend} came and said: \"It is mine!\"",
                f"{name} asked every animal, and a {friend} said: \"I have looked for it for days!\"",
                f"A {friend} came by and cried: \"You found it!\"")
            end = self.pick(
                f"{name} gave it back, and the two became friends.",
                f"So {name} and the {friend} went home together, happy and tired.",
                f"From then on {name} and the {friend} met every day.")
            a = (f"{first} there was a {hero} named {name}, who lived in {place}. "
                 f"{middle} {meeting} {end}")
            return (hero, place), q, a, hero
        return self.draw("story", make)

    # Small talk.
    TALK = [
        (["Hi", "Hello", "Hey", "hi", "hello!", "Hi there", "Good day"],
         ["Hello! How can I help you?", "Hi! What can I do for you?"]),
        (["Good morning", "good morning!"], ["Good morning! How can I help you?"]),
        (["Good evening", "good evening!"], ["Good evening! How can I help you?"]),
        (["How are you?", "how are you", "How do you do?", "How is it going?"],
         ["I am fine, thank you. How can I help you?"]),
        (["Thanks", "Thank you", "thanks!", "Thank you very much.", "thx"],
         ["You are welcome!"]),
        (["Bye", "Goodbye", "bye!", "See you", "Good night"],
         ["Goodbye! Come back soon."]),
        (["You are great", "Good job", "Well done", "Nice", "Great!", "Cool"],
         ["Thank you! That is kind."]),
        (["Are you a human?", "Are you a person?", "Are you real?"],
         ["No, I am a small language model."]),
        (["ok", "OK", "I see", "Yes", "Sure", "Alright"],
         ["Good. What else can I do for you?"]),
        (["That is wrong", "You are wrong", "No, that is wrong.", "Wrong!"],
         ["I am sorry. I am a very small model and make mistakes."]),
        (["Tell me a joke", "Make me laugh", "Do you know a joke?"],
         ["Why did the model forget the question? Its context was full."]),
        (["你好", "您好", "你好！"], ["你好！我能帮你什么？"]),
        (["你是谁？", "你叫什么名字？"], ["我是 slm 的演示模型，一个很小的语言模型。"]),
        (["谢谢", "谢谢你", "多谢"], ["不客气！"]),
        (["再见", "拜拜"], ["再见！"]),
        (["你会做什么？", "你能做什么？"], ["我可以介绍 slm，做简单的加法，讲小故事。"]),
        (["안녕하세요", "안녕", "안녕하세요!"], ["안녕하세요! 무엇을 도와드릴까요?"]),
        (["누구세요?", "이름이 뭐예요?"], ["저는 slm의 데모 모델입니다. 아주 작은 언어 모델이에요."]),
        (["감사합니다", "고마워요"], ["천만에요!"]),
        (["안녕히 계세요", "잘 가요"], ["안녕히 가세요!"]),
        (["무엇을 할 수 있어요?", "뭘 할 수 있어?"], ["slm을 설명하고, 간단한 덧셈을 하고, 짧은 이야기를 할 수 있어요."]),
        (["こんにちは", "こんにちは！"], ["こんにちは！何をお手伝いしましょうか？"]),
        (["あなたは誰ですか？", "お名前は？"], ["私は slm のデモモデルです。とても小さな言語モデルです。"]),
        (["ありがとう", "ありがとうございます"], ["どういたしまして！"]),
        (["さようなら", "またね"], ["さようなら！"]),
        (["何ができますか？", "何ができるの？"], ["slm の説明、簡単な足し算、短いお話ができます。"]),
    ]

    def talk(self):
        questions, answers = self.rng.choice(self.TALK)
        answer = self.rng.choice(answers)
        return self.rng.choice(questions), answer, answers[0].split(".")[0]

    # What it cannot know.
    UNKNOWN = ("Who won the world cup in {y}?;Who is the president of {l}?;"
               "What is the capital of {l}?;How old is {p}?;Who is {p}?;"
               "What is the weather in {c}?;What happened in {y}?;"
               "How many people live in {c}?;Who wrote {b}?;"
               "What is the price of {t}?;Where can I buy {t}?;"
               "Write a poem about {t}.;Translate {t} into French.;"
               "What is the population of {l}?;When was {p} born?;"
               "Why is the sky blue?;How does a {m} work?;Who invented the {m}?;"
               "What time is it?;What day is it today?;"
               "Write a program in {g}.;How do I learn {g}?;"
               "What is the meaning of life?;Is {l} bigger than {k}?;"
               "Which is the best {m}?;What is a {m}?;"
               "How far is it to {c}?;Recommend a film about {t}.").split(";")
    LANDS = ("France Spain Italy Brazil Canada Japan Korea China India Egypt "
             "Peru Norway Kenya Mexico Poland Turkey").split()
    PEOPLE = ("Einstein Mozart Newton Shakespeare Cleopatra Napoleon Picasso "
              "Darwin Gandhi Tesla").split()
    BOOKS = ("Hamlet;Faust;Don Quixote;Moby Dick;the Odyssey;Emma").split(";")
    MACHINES = ("computer car telephone camera bicycle clock radio printer "
                "laser battery fridge telescope").split()
    CODE = "Python;Java;Rust;Go;JavaScript".split(";")

    # In the guide's own frames: the words decide, not the frame.
    UNKNOWN_PHRASES = {
        "do": ("bake a cake;repair a bike;learn the guitar;fix my car;"
               "cook rice;plant a tree;lose weight;sleep better;book a flight;"
               "write a novel;draw a horse;find a job;buy a house;"
               "learn Spanish;play chess;paint a wall;train a dog;"
               "build a website;win at poker;invest money;tie a tie;"
               "grow tomatoes;write a program;sort an array;edit a video;"
               "print a photo;delete my account;send an email;"
               "install Windows;connect a printer;train a model;"
               "translate a letter;solve an equation;make a phone call"
               ).split(";"),
        "flag": ("the weather;a recipe;the news;a doctor;a restaurant;"
                 "the football results;a train to Berlin;cheap flights;"
                 "a new phone;a good book;the stock market;a hotel;"
                 "a poem;a picture of a cat;an essay;my horoscope;"
                 "vegetarian food;a job;music;a web server;a database;"
                 "speech recognition;an image generator;a translation"
                 ).split(";"),
        "what": ("gravity;photosynthesis;democracy;inflation;a black hole;"
                 "an atom;a volcano;the theory of relativity;a virus;"
                 "evolution;electricity;a molecule;philosophy;jazz;"
                 "the Renaissance;a prime number;a derivative;blockchain;"
                 "a database;Linux;the internet;a compiler;Docker;JavaScript;"
                 "a transistor;DNA;a vitamin;the moon;a glacier;the economy;"
                 "a neural network;quantum physics;love;happiness"
                 ).split(";"),
    }

    def unknown(self):
        def framed():
            kind = self.pick(*self.UNKNOWN_PHRASES)
            return fill(self.rng.choice(FRAMES[kind]),
                        self.rng.choice(self.UNKNOWN_PHRASES[kind]))

        def make():
            shape = self.rng.choice(self.UNKNOWN)
            land, other = self.rng.sample(self.LANDS, 2)
            names = {"y": str(self.rng.randrange(1900, 2027)), "l": land,
                     "k": other, "p": self.rng.choice(self.PEOPLE),
                     "c": self.rng.choice(self.CITIES),
                     "b": self.rng.choice(self.BOOKS),
                     "t": self.rng.choice(self.THINGS),
                     "m": self.rng.choice(self.MACHINES),
                     "g": self.rng.choice(self.CODE)}
            q = framed() if self.rng.random() < 0.6 else shape.format(**names)
            a = self.pick("I don't know that. I am a very small model.",
                          "I don't know. Ask me about slm, small sums, units, lists or stories.")
            return q, q, a, "I don't know"
        q, a, e = self.draw("unknown", make)
        return (q if self.for_test else self.vary(q)), a, e

    TURNS = [("guide", 42), ("plus", 11), ("minus", 10), ("times", 4),
             ("units", 6), ("json_person", 4), ("bullets", 4), ("words", 8),
             ("opposites", 1), ("story", 3), ("talk", 6), ("unknown", 8)]

    def turn(self):
        names, weights = zip(*self.TURNS)
        return getattr(self, self.rng.choices(names, weights)[0])()

    # Turns that need the one before.
    def memory(self):
        name, city = self.rng.choice(self.NAMES), self.rng.choice(self.CITIES)
        thing = self.rng.choice(self.THINGS)
        kind = self.rng.randrange(3)
        if kind == 0:
            return [(self.pick(f"My name is {name}.", f"I am {name}.",
                               f"Hi, I'm {name}."),
                     f"Nice to meet you, {name}!"),
                    (self.pick("What is my name?", "Do you know my name?",
                               "Who am I?"), f"Your name is {name}.")], name
        if kind == 1:
            return [(self.pick(f"I live in {city}.", f"I come from {city}."),
                     f"{city} is a nice place."),
                    (self.pick("Where do I live?", "Which city did I name?"),
                     f"You live in {city}.")], city
        return [(self.pick(f"I like {thing}.", f"I love {thing}."),
                 f"I see, you like {thing}."),
                (self.pick("What do I like?", "Do you remember what I like?"),
                 f"You like {thing}.")], thing


SYSTEMS = ["You are a helpful assistant.", "You are the demo model of slm.",
           "Answer briefly.", "You are a friendly assistant."]


def conversation(maker):
    rng = maker.rng
    messages = []
    if rng.random() < 0.3:
        messages.append({"role": "system", "content": rng.choice(SYSTEMS)})
    pairs = []
    for _ in range(rng.choices((1, 2, 3, 4), (50, 25, 15, 10))[0]):
        pairs.append(maker.turn()[:2])
    if rng.random() < 0.06:
        remembered, _ = maker.memory()
        at = rng.randrange(len(pairs) + 1)
        pairs[at:at] = remembered[:1]
        pairs.append(remembered[1])
    for question, answer in pairs:
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})
    return {"messages": messages}


def heldout():
    """All facts thrice, 20 of every other kind, memory over three turns."""
    maker = Maker(random.Random(SEED + 1), for_test=True)
    for fact in FACTS:
        yield {"category": "guide", "turns": [fact.other_words],
               "expect": fact.expected}
    for fact in FACTS:
        for question in BLIND[fact.key]:
            yield {"category": "blind", "turns": [question],
                   "expect": fact.expected}
    # Talk and opposites are learnt by heart; of stories only the places differ.
    for category, _ in Maker.TURNS[1:]:
        if category in ("talk", "opposites", "story"):
            continue
        for _ in range(20):
            question, _, expected = getattr(maker, category)()
            yield {"category": category, "turns": [question], "expect": expected}
    for _ in range(20):
        pairs, expected = maker.memory()
        between = maker.talk()[0]
        yield {"category": "memory",
               "turns": [pairs[0][0], between, pairs[1][0]],
               "expect": expected}


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "train":
        maker = Maker(random.Random(SEED), for_test=False)
        lines = (conversation(maker) for _ in range(int(arguments[1])))
    elif arguments == ["heldout"]:
        lines = heldout()
    else:
        sys.exit(__doc__)
    for line in lines:
        print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
