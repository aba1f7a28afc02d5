# SPDX-License-Identifier: MIT
"""What the demo model knows about slm, and the words in which people ask.

A fact is (key, what a right answer contains, the answer, questions and
phrases). Whole questions are parted by "|"; the last one is never trained on.
Phrases go into frames, so that the model learns which words matter: `do` is
what one wants to do ("How do I {}?"), `flag` what one looks for ("Is there a
flag for {}?"), `what` what one wants explained ("What is {}?").
"""

DO_FRAMES = """How do I {}?|How can I {}?|How do you {}?|How would I {}?
How to {}?|how to {}|Can I {}?|Can you tell me how to {}?
Is it possible to {}?|Is there a way to {}?|Is there any way to {}?
I want to {}.|I would like to {}.|I'd like to {}, but how?|I need to {}.
I have to {}. What do I do?|What do I do to {}?|What should I do to {}?
What is the way to {}?|What's the easiest way to {}?|What must I type to {}?
What do I type to {}?|What do I use to {}?|What do I need to {}?
Show me how to {}.|Tell me how to {}.|Explain how to {}.|Help me {}.
Could you tell me how to {}?|Do you know how to {}?|I don't know how to {}.
I am trying to {}.|My goal is to {}.|We want to {}.|I wish to {}.
Which command do I need to {}?|What command lets me {}?
Which flag lets me {}?|With which flag can I {}?|What flag do I use to {}?
Which option do I need to {}?|Where can I {}?|{}|{}, please
What if I want to {}?|Suppose I want to {}.|Does slm let me {}?
I can't find out how to {}.|Why can't I {}?|Who can tell me how to {}?"""

FLAG_FRAMES = """Which flag is for {}?|What is the flag for {}?|flag for {}
What's the option for {}?|Is there a flag for {}?|Is there an option for {}?
Which option controls {}?|Which setting is for {}?|Where do I find {}?
{}?|{}|{}, please|I need {}.|I want {}.|I am looking for {}.
What about {}?|Tell me about {}.|Do you have {}?|Does slm-run have {}?
Does slm support {}?|Is {} possible?|How do I get {}?|How can I get {}?
How about {}?|What do I type for {}?|What do I do about {}?
I have a question about {}.|Something about {}?|Can I have {}?
How does one get {}?|What is there for {}?|Is there such a thing as {}?"""

WHAT_FRAMES = """What is {}?|What's {}?|what is {}|What exactly is {}?
What does {} mean?|What is meant by {}?|What's the meaning of {}?
What is the point of {}?|What is {} good for?|What is {} used for?
Explain {}.|Explain {} to me.|Can you explain {}?|Please explain {}.
Define {}.|Describe {}.|Tell me about {}.|Tell me what {} is.
I don't understand {}.|I have never heard of {}.|I read about {}. What is it?
What do you know about {}?|Do you know what {} is?|Who can explain {}?
In simple words: what is {}?|{}?|{}|Why is there {}?|What about {}?
Could you say what {} is?|I wonder what {} is.|Say something about {}."""


def _split(text):
    return [part for line in text.splitlines() for part in line.split("|")
            if part]


FRAMES = {"do": _split(DO_FRAMES), "flag": _split(FLAG_FRAMES),
          "what": _split(WHAT_FRAMES)}

_FACTS = [
    # What it is.
    ("runtime", "runtime", "slm is a small, static runtime that runs small language models on any CPU, without Python.",
     dict(ask="What does slm do?|Describe slm in one sentence.|What kind of program is slm?|What am I looking at?|So what exactly is slm?",
          what="slm|this project|this program|the slm project|this software|this tool|the name slm")),
    ("cpp", "C++", "slm is written in C++20.",
     dict(ask="What language is slm written in?|Which programming language is slm made in?|Is slm written in Rust?|Is slm a Python program?|Which language do the developers of slm use?|What is the source code of slm written in?|What was slm coded in?|In what language is slm programmed?",
          flag="the programming language of slm|the language of the source code|the implementation language|the code base")),
    ("mit", "MIT", "slm has the MIT license.",
     dict(ask="What license does slm have?|Under which license is slm?|Is slm open source?|What is the license of slm?|May I use slm in a product?|Is slm free software?|Can my company use slm?|What are the terms of use?|Which license is slm published under?",
          flag="the license|the licence|the copyright|the legal terms|an open source license", do="sell a product with slm in it|use slm commercially|redistribute slm")),
    ("python", "No.", "No. slm needs no Python, no daemon and no network.",
     dict(ask="Does slm need Python?|Do I need Python for slm?|Is Python required?|Does slm need a daemon?|Is a server process necessary?|Does it depend on Python?|Do I have to install PyTorch?|Does a service have to run in the background?|Will I need a Python environment?|Does it have dependencies at run time?|Must I install Python to use slm?",
          flag="a Python dependency|a daemon|a background service|a need for pip")),
    ("download", "never", "slm never downloads anything: it opens local folders only.",
     dict(ask="Does slm download models?|Can slm download a model for me?|Does slm use the network?|Does slm need the internet?|Does my data leave this machine?|Is slm private?|Does slm send anything to the cloud?|Does slm work offline?|Does it phone home?|Will slm fetch models from the internet?",
          do="download a model|fetch a model from the web|pull a model|get models from the internet|download models from Hugging Face", flag="a model download|telemetry|network access|an internet connection")),
    ("gpu", "on the CPU", "No. slm runs on the CPU.",
     dict(ask="Does slm use the GPU?|Can slm run on a GPU?|Is a GPU needed for slm?|Do I need a GPU?|Will my NVIDIA card be used?|Does slm use CUDA?|Does it run on the graphics card?|Does slm need a graphics card?",
          do="use my GPU|run it on the graphics card|use CUDA|offload layers to the GPU|use an NPU", flag="GPU support|CUDA|a graphics card|Vulkan|Metal")),
    ("tools", "slm-run answers", "slm-run answers prompts and chats, slm-convert makes model folders, slm-bench measures speed and slm-inspect looks inside.",
     dict(ask="Which tools does slm have?|What tools are there?|List the tools of slm.|What programs does slm come with?|What is the difference between slm-run and slm-convert?|Which binaries do I get?|How many programs are in slm?|Which commands belong to slm?|Name the tools that belong to slm.",
          flag="a list of the tools|the programs of slm|the other tools|an overview of the tools|the binaries")),
    ("fast", "in place", "slm reads int4 weights in place with SIMD kernels, so it is faster than ONNX Runtime and llama.cpp on the same CPU.",
     dict(ask="Why is slm fast?|Is slm faster than llama.cpp?|How fast is slm?|How does slm compare with ONNX Runtime?|Is slm quicker than Ollama?|Why should I use slm and not llama.cpp?|What makes slm so fast?|How does slm compare to its peers?",
          flag="a comparison with llama.cpp|a comparison with ONNX Runtime|the speed of slm|the advantage over ONNX Runtime")),
    ("platforms", "Linux", "slm is tested on Linux on x86-64, from SSE2 to AVX-512; Arm NEON is tested in an emulator.",
     dict(ask="Which systems does slm run on?|On which CPUs does slm run?|Does slm run on Windows?|Does slm run on a Raspberry Pi?|Does slm run on Arm?|Will it work on my old PC?|Does slm run on a Mac?|What platforms are supported?",
          flag="the supported platforms|Windows support|Arm support|the supported processors|Mac support|the system requirements", do="run slm on Windows|use slm on an Arm board|run it on an old computer")),
    ("install", "cmake --install", "Run cmake --install build/release --prefix DIR.",
     dict(ask="How do I install slm?|Which command installs the programs?|How do I put slm into my PATH?|Is there a Debian package?|How do I make a package of slm?|How do I get slm onto my system?",
          do="install slm|install the programs|set up slm|copy the binaries to my system|make a Debian package|package slm", flag="the installation|an installer|a deb package|installing slm")),
    ("cembed", "slm.h", "Include slm/slm.h and link with libslm.a: cc app.c $(pkg-config --cflags --libs slm).",
     dict(ask="How do I use slm from C?|Is there a C API?|How do I embed slm in my program?|Which header do I include?|Can my C++ program call slm?|Is slm a library, too?|How do I link with slm?|Can I build slm into my own application?",
          do="embed slm in my application|call slm from C|link my program with slm|use slm as a library|use slm in my C++ code|integrate slm into an app", flag="a C API|a library|the header file|C bindings|an API for programs")),
    # slm-run.
    ("ask", "slm-run MODEL", "Run slm-run MODEL \"your question\".",
     dict(ask="How do I ask a model a question?|How do I run a model?|How can I get one answer from a model?|What is the command to run a model?|How do I use slm-run?|What is slm-run for?|I have a model. What now?|With which command do I ask a model something?",
          do="ask a model a question|run a model|use a model|get one answer from a model|query a model|prompt a model|send a prompt to a model|use slm-run|try a model|get started|generate text", flag="a single answer|a first run|the basic command|text from a model")),
    ("chat", "slm-run MODEL", "Run slm-run MODEL without a prompt in a terminal.",
     dict(ask="How do I start a chat?|How can I chat with a model?|How do I begin a conversation with slm-run?|What starts the chat?|Is there an interactive mode?|How do I talk with a model?|Which command opens a chat?",
          do="start a chat|chat with a model|begin a conversation|talk to a model|open the chat|have a dialogue with a model|use the interactive mode|converse with a model", flag="an interactive mode|a chat mode|a conversation|the chat|a dialogue")),
    ("help", "/help", "Type /help in the chat.",
     dict(ask="How do I see the chat commands?|Which command lists the chat commands?|How do I get help in the chat?|Where are the chat commands explained?|Which slash commands are there?|What can I type in the chat?|What do I type to see all commands of the chat?",
          do="see the chat commands|list the slash commands|get help in the chat|find the commands of the chat|learn the slash commands", flag="the slash commands|a list of chat commands|help in the chat|the keys of the chat")),
    ("exit", "/exit", "Type /exit, or press Ctrl-D.",
     dict(ask="How do I leave the chat?|How do I quit the chat?|How can I exit slm-run?|How do I end the chat?|I am stuck in the chat. How do I get out?|How do I close the conversation?|What do I type to get out of the chat?",
          do="leave the chat|quit the chat|exit the chat|end the chat|close the chat|stop chatting|quit slm-run|end the conversation|get back to the shell", flag="the exit command|the end of the chat|quitting")),
    ("undo", "/undo", "Type /undo: it forgets the last message and its answer.",
     dict(ask="How do I take back my last message?|What does /undo do?|I mistyped my question. Can I take it back?|Which command removes the last turn?|How do I remove the last question and answer?",
          do="take back the last message|undo a turn|undo my last message|remove the last answer|delete the last turn|go back one step in the chat", flag="undo|an undo command|taking back a message")),
    ("regen", "/regen", "Type /regen: the last message is answered again.",
     dict(ask="How do I get another answer?|What does /regen do?|The answer was bad. Can I have another?|Which command repeats the answer?|How do I make it answer the same question once more?",
          do="get another answer|regenerate the answer|answer the last message again|retry the answer|repeat the last question|have a second try", flag="another answer|a new answer to the same question|regeneration|a retry")),
    ("clear", "/clear", "Type /clear: it forgets the conversation, the system message stays.",
     dict(ask="How do I start over?|What does /clear do?|How do I make the model forget the conversation?|Which command empties the context?|How do I begin a fresh conversation?",
          do="start over|forget the conversation|clear the chat|reset the chat|empty the history|begin a new conversation|wipe the context", flag="a fresh start|a reset|a new conversation|clearing the history")),
    ("save", "/save FILE", "Type /save FILE; /load FILE brings it back.",
     dict(ask="How do I save the conversation?|What does /save do?|How do I load an old chat?|Which command writes the chat to a file?|Can I keep a copy of this chat?",
          do="save the conversation|save the chat to a file|load a conversation|write the chat to disk|store this chat|keep this conversation|export the chat", flag="saving the chat|a transcript|a copy of the conversation|loading a chat")),
    ("session", "--session", "Use --session FILE: the conversation is kept in FILE and goes on from there.",
     dict(ask="What does --session do?|Which flag keeps a conversation between runs?|How do I go on with yesterday's chat?|How can slm-run remember a conversation?|Is there a way that the chat goes on after a restart?",
          do="continue a conversation later|go on with an earlier chat|keep a conversation between runs|resume a session|remember the chat between two runs", flag="sessions|a session file|a conversation that goes on|a lasting chat")),
    ("think", "--think off", "Use --think off, or --show-think hide to leave it out of the output.",
     dict(ask="How do I turn off thinking?|Which flag hides the reasoning?|What does --think do?|The model thinks too long. What can I do?|How do I get the answer without the thoughts?",
          do="turn off thinking|hide the reasoning|switch off the thoughts|disable thinking|stop the model from thinking|see no reasoning|suppress the thinking", flag="thinking|the reasoning|the thoughts of the model|the think mode|hidden reasoning")),
    ("multiline", "Alt-Enter", "Press Alt-Enter or Ctrl-J for another line, or begin with \"\"\".",
     dict(ask="How do I type several lines?|How do I write a new line in the chat?|Can a message have more than one line?|Enter sends my message. How do I get a line break?|How do I enter a longer text with line breaks?",
          do="type several lines|write more than one line|enter a line break|add a new line to my message|type a multi-line message|write a paragraph", flag="a line break|multi-line input|several lines|a newline key")),
    ("temp", "--temp", "Use --temp X; 0 is greedy.",
     dict(ask="How do I set the temperature?|Which flag sets the temperature?|What is the temperature flag?|The answers are too random. What can I do?|How can I change the temperature?|Where do I set the sampling temperature?",
          do="set the temperature|change the temperature|lower the temperature|raise the temperature|get more creative answers|make the answers less random|adjust the randomness|control the creativity", flag="the temperature|temp|randomness|creativity|more random answers")),
    ("greedy", "--greedy", "Use --greedy: it always takes the most probable token.",
     dict(ask="How do I get greedy decoding?|Which flag makes slm-run greedy?|How do I always take the most probable token?|What does --greedy do?|How can I turn off sampling?",
          do="get greedy decoding|use greedy search|always take the most likely token|decode greedily|pick the best token each time|sample nothing", flag="greedy decoding|greedy search|the most likely token|argmax decoding|no randomness at all")),
    ("seed", "--seed", "Use --seed N.",
     dict(ask="How do I repeat a run?|How do I set the seed?|Which flag sets the random seed?|How do I get the same answer again?|I want the same text twice. How?|What makes a run reproducible?",
          do="set the seed|repeat a run|get the same answer each time|fix the random numbers|reproduce an answer|make the output deterministic|start the random generator at a number", flag="the seed|the random seed|repeatable answers|a fixed seed|deterministic output")),
    ("topk", "--top-k", "Use --top-k N; 0 is all.",
     dict(ask="How do I set top k?|Which flag sets top-k sampling?|How do I sample from the N most probable tokens?|What does top_k do here?|How can I limit sampling to the best N tokens?",
          do="set top k|use top-k sampling|sample from the k best tokens|restrict the choice to k tokens|choose among the 40 likeliest tokens", flag="top-k|top k sampling|top_k|the k most likely tokens|the number of candidate tokens")),
    ("topp", "--top-p", "Use --top-p X.",
     dict(ask="How do I set top p?|Which flag sets top-p sampling?|How do I use nucleus sampling?|What does top_p do here?|What is the flag for nucleus sampling?",
          do="set top p|use top-p sampling|sample from the nucleus|limit the sum of probabilities|cut off the tail of the distribution", flag="top-p|top p|top_p|the nucleus|a probability mass|cumulative probability")),
    ("length", "-n N", "Use -n N, or --max-tokens N.",
     dict(ask="How do I limit the length of the answer?|Which flag limits the new tokens?|How do I stop after N tokens?|How do I get shorter answers?|The answers are too long.|My answers are cut off. How do I allow more?|What sets the maximum number of new tokens?",
          do="limit the length of the answer|limit the number of tokens|get shorter answers|get longer answers|stop after 100 tokens|cut the answer at N tokens|cap the output|bound the length of the output", flag="the length of the answer|the maximum of new tokens|max tokens|shorter answers|longer answers|a token limit")),
    ("stop", "--stop", "Use --stop TEXT; it may come several times.",
     dict(ask="How do I set a stop string?|Which flag ends the answer before a text?|How do I stop at a word?|Can generation end at a blank line?|How can I end an answer at a certain text?",
          do="set a stop string|stop at a word|end generation at a text|halt at a marker|stop when a certain word comes|add a stop sequence", flag="a stop string|stop words|a stop sequence|stop texts|an end marker")),
    ("system", "-s TEXT", "Use -s TEXT, or -s @FILE for a file.",
     dict(ask="How do I set the system message?|Which flag sets the system prompt?|How do I give a system prompt?|How do I make the model a pirate?|How can I tell the model its role?|What is the flag for a system message?",
          do="set the system message|set the system prompt|give the model a role|give instructions to the model|define a persona|tell the model how to behave", flag="the system message|the system prompt|a system instruction|a role for the model|a persona")),
    ("file", "-f FILE", "Use -f FILE.",
     dict(ask="How do I read the prompt from a file?|Which flag takes the prompt from a file?|My prompt is in a file. What now?|My question is long and in a text file.|How can I pass a file as the prompt?",
          do="read the prompt from a file|use a file as the prompt|load the prompt from disk|take the question from a text file|give slm-run a prompt file", flag="a prompt file|a prompt from disk|a question in a file")),
    ("stdin", "stdin", "Pipe it: cat FILE | slm-run MODEL \"Summarise:\". The text from stdin follows the prompt.",
     dict(ask="Can I pipe text into slm-run?|How do I use stdin?|How do I pipe a file into slm-run?|How do I summarise a text with a pipe?|Does it work in a shell pipeline?|Can slm-run read standard input?",
          do="pipe text into slm-run|use stdin|pipe a file into the model|use it in a pipeline|feed the output of a program to the model|send a log file through a pipe", flag="stdin|pipes|piping|shell pipelines|input from another program")),
    ("json_output", "-o json", "Use -o json.",
     dict(ask="How do I get JSON output?|Which flag prints the answer as JSON?|How do I make slm-run print JSON?|What output formats are there?|I need machine-readable results.|How can a script read the answer as JSON?",
          do="get JSON output|print the result as JSON|get machine-readable output|parse the result in a script|have the statistics as JSON", flag="JSON output|machine-readable output|output for scripts|the output format|structured results")),
    ("ctx", "-c N", "Use -c N, or --ctx N.",
     dict(ask="How do I set the context length?|Which flag sets the context length?|How do I change the context size?|My text is long. How do I get a bigger context?|How can I get a longer context?",
          do="set the context length|change the context size|get a bigger context|make the context window larger|enlarge the window|choose the size of the context", flag="the context length|the context size|a bigger context|a larger window|the window size")),
    ("threads", "-t N", "Use -t N; auto takes all cores.",
     dict(ask="How do I set the number of threads?|Which flag sets the threads?|How many threads does slm use?|slm takes all my cores. What can I do?|How can I use fewer cores?",
          do="set the number of threads|use two threads|use all cores|limit the CPU use|leave some cores free|run on one core only|choose how many cores it uses", flag="the number of threads|threads|the thread count|the number of cores|CPU cores|multithreading")),
    ("kv", "--kv int8", "Use --kv int8: keys and values then take half of the memory of f16.",
     dict(ask="How do I save memory for the KV cache?|How do I make the KV cache smaller?|Which types can the KV cache have?|What does --kv do?|The cache needs too much memory.|How can the cache take less memory?",
          do="make the KV cache smaller|shrink the cache|quantise the KV cache|store keys and values in int8|save memory in the cache|halve the KV cache", flag="a smaller KV cache|an int8 cache|the type of the KV cache|KV cache quantisation|a compact cache")),
    ("maxmem", "--max-mem", "Use --max-mem SIZE, for example --max-mem 2G.",
     dict(ask="How do I limit the memory?|Which flag sets a memory limit?|How do I cap memory use?|slm must not take more than 1 GB.|Can I tell slm-run to use at most 2 GB?",
          do="limit the memory|cap the memory use|set a memory limit|restrict the RAM|keep it below 2 GB|make sure that it stays under 1 GB of RAM", flag="a memory limit|a RAM limit|the maximum memory|a cap on memory")),
    ("stats", "--stats", "Use --stats: it prints speed and memory after each answer.",
     dict(ask="How do I see the speed?|Which flag prints statistics?|How do I see tokens per second?|How many tokens per second was that?|How can I watch the memory use?",
          do="see the speed of an answer|see tokens per second|print statistics|show timings after each answer|watch speed and memory|see how long an answer took", flag="statistics|stats|timings|tokens per second|speed and memory figures|a speed display")),
    ("raw", "--raw", "Use --raw: the prompt then goes in without a chat template.",
     dict(ask="How do I skip the chat template?|Which flag turns the chat template off?|How do I send a raw prompt?|My model is a base model without a template.|Can I use a prompt without the template?",
          do="skip the chat template|turn the template off|send a raw prompt|use no chat template|complete a text as it stands|bypass the template", flag="raw prompts|no chat template|plain completion|raw mode|untemplated prompts")),
    ("showprompt", "--show-prompt", "Use --show-prompt.",
     dict(ask="How do I see the prompt that the model gets?|Which flag prints the whole prompt?|How do I print the rendered template?|What does the model really get to read?|How can I look at the final prompt?",
          do="see the final prompt|print the whole prompt|see what the model gets|view the rendered template|check the prompt after the template|debug my prompt", flag="the final prompt|the rendered prompt|the whole prompt as text|prompt debugging")),
    ("verbose", "Use -v", "Use -v: it prints the memory plan and what was chosen.",
     dict(ask="How do I see the memory plan?|Which flag is verbose?|How do I see more details?|Which kernels and settings were chosen?|How can I find out what slm-run chose?",
          do="see the memory plan|see more details|get verbose output|see what was chosen|print more information", flag="the memory plan|verbose output|more details|verbosity|more information while it runs")),
    ("overflow", "exit code 7", "slm-run stops with exit code 7. With --on-overflow drop-oldest it forgets the oldest turns.",
     dict(ask="What happens when the context is full?|What if my prompt is too long?|What does --on-overflow do?|What happens if the conversation gets too long?|My prompt does not fit.|Is my prompt cut silently?|What happens at the end of the window?|The context is full. What can I do?",
          do="go on when the context is full|drop the oldest turns|handle a prompt that is too long|forget the oldest messages", flag="context overflow|an overflow|a full context|prompts that are too long")),
    ("beams", "--beams", "Use --beams N.",
     dict(ask="How do I use beam search?|Which flag turns on beam search?|Can slm-run do beam search?|Can it follow several hypotheses?|What is the flag for beams?",
          do="use beam search|search with 4 beams|turn on beam search|keep several candidates while decoding|set the number of beams", flag="beam search|beams|the beam width|several hypotheses")),
    ("cachels", "cache ls", "Run slm-run cache ls.",
     dict(ask="Which models do I have?|How do I list my models?|What models are on this machine?|Which command lists the models?|What can I run here?",
          do="list my models|see which models I have|list the models on this machine|show all models|find my models", flag="a list of models|my models|the installed models|the model cache")),
    ("cachecd", "cache cd", "Run slm-run cache cd DIR.",
     dict(ask="How do I tell slm where my models are?|Where does slm look for models?|How do I set the models folder?|My models are in another folder.|Which command sets the model directory?",
          do="set the models folder|change the model directory|tell slm where the models are|point slm at another folder of models|keep my models elsewhere", flag="the models folder|the model directory|the folder of the models|the search path for models")),
    ("modelrun", "model run NAME", "Run slm-run model run NAME.",
     dict(ask="How do I run a model by name?|Do I need the path of a model?|Can I use a name and not a path?|What replaces foundry model run?|Which command runs a model by its name?",
          do="run a model by name|start a model by its name|use a name in place of a path|call a model by its name", flag="models by name|running by name|model names|short names for models")),
    ("doctor", "slm-run doctor", "Run slm-run doctor: it shows CPU, SIMD, memory and folders.",
     dict(ask="How do I check my machine?|What does slm-run doctor do?|Which SIMD does my CPU have?|Something does not work. How do I find out why?|Which command tells what this computer has?",
          do="check my machine|see what my CPU can do|find out what is wrong|diagnose a problem|check the installation|see the features of my processor", flag="a diagnosis|a check of my machine|information on my CPU|a health check|troubleshooting")),
    # slm-convert.
    ("convert", "slm-convert SOURCE OUTPUT", "Run slm-convert SOURCE OUTPUT, where SOURCE is a local Hugging Face folder.",
     dict(ask="How do I convert a model?|How do I convert a Hugging Face model?|What is the command to convert a model?|How do I use slm-convert?|What is slm-convert for?|How do I quantise my own model?|I fine-tuned a model. How do I use it with slm?|I have a Hugging Face folder. How do I make a slm model of it?",
          do="convert a model|convert a Hugging Face model|use slm-convert|quantise a model|turn safetensors into a model folder|import a model|prepare a model for slm|convert my fine-tuned model|compress a model", flag="conversion|converting a model|the converter|safetensors|models from Hugging Face")),
    ("gguf", "GGUF", "Yes: slm-convert model.gguf OUTPUT reads a GGUF file.",
     dict(ask="Can slm read GGUF?|Can slm-convert read GGUF files?|I have a model from llama.cpp. Can I use it?|Does slm open Ollama's models?|What about models in the format of llama.cpp?",
          do="convert a GGUF file|use a GGUF model|open a llama.cpp model|import a GGUF|use my llama.cpp models", flag="GGUF|GGUF files|llama.cpp models|GGUF support")),
    ("gptq", "-a gptq", "Use -a gptq: slower, but the rounding is fitted to text.",
     dict(ask="Which flag chooses GPTQ?|How do I get better int4 weights?|Can slm-convert do GPTQ?|Which algorithm is the best?|The int4 model is bad. What can I try?",
          do="use GPTQ|get better quality from int4|quantise with GPTQ|choose a better algorithm|improve the quality of the conversion", flag="GPTQ|better quality|a better algorithm|calibrated quantisation|higher accuracy in int4")),
    ("precision", "int4", "int4. Use -p int8, fp16 or fp32 for others.",
     dict(ask="What is the default precision?|Which precision does slm-convert use?|Which precisions can slm-convert write?|How many bits do I get by default?|What precision do I get without flags?",
          do="choose the precision|convert to fp16|convert to fp32|keep full precision|write half precision", flag="the precision|the default precision|other precisions|fp16|fp32|the number of bits")),
    ("int8", "-p int8", "Use -p int8.",
     dict(ask="How do I convert to int8?|Which flag makes an int8 model?|How do I get 8-bit weights?|int4 is too coarse for me. How do I get 8 bits?|I want eight bits. Which flag?",
          do="convert to int8|get 8-bit weights|make an int8 model|use 8 bits per weight|quantise to int8|write int8 weights", flag="int8 weights|8-bit weights|an int8 model|8 bits|8-bit quantisation")),
    ("block", "-b N", "Use -b N: 16, 32, 64, 128 or 256. The default is 32.",
     dict(ask="How do I set the block size?|Which block sizes are there?|What is the default block size?|How large is a block?|How many weights share a scale?",
          do="set the block size|choose the block size|use blocks of 128|change the group size|make the blocks larger", flag="the block size|the group size|blocks of 64|larger blocks|weights per scale")),
    ("asym", "--asymmetric", "Use --asymmetric: each block then has a zero point.",
     dict(ask="How do I get zero points?|Which flag writes zero points?|How do I convert with zero points?|Is quantisation symmetric?|Can blocks have a zero point?",
          do="write zero points|convert with zero points|quantise asymmetrically|add zero points|use asymmetric blocks", flag="zero points|asymmetric quantisation|a zero point per block|asymmetric weights")),
    ("adapter", "--adapter", "Use --adapter DIR; it is merged before quantisation.",
     dict(ask="How do I merge a LoRA?|How do I use a LoRA adapter?|Which flag merges an adapter?|Can slm-convert merge a LoRA?|I have PEFT weights. What now?|I trained a LoRA. How do I deploy it?",
          do="merge a LoRA|use an adapter|apply a LoRA|merge an adapter into the base model|add my fine-tuned adapter|convert a base model with its LoRA", flag="LoRA adapters|an adapter|merging a LoRA|PEFT adapters|a fine-tuned adapter")),
    ("force", "--force", "Use --force.",
     dict(ask="How do I overwrite the output folder?|Which flag replaces an existing folder?|The output folder exists already. What now?|slm-convert says that the folder exists.|How can I write over an old output?",
          do="overwrite the output folder|replace an existing folder|convert again into the same folder|write over the old model|overwrite files", flag="overwriting|an existing output folder|replacing the old output|an overwrite flag")),
    ("dryrun", "--dry-run", "Use --dry-run: it checks everything, prints sizes and writes nothing.",
     dict(ask="How do I check a conversion without writing?|What does --dry-run do?|How do I see the size before converting?|How big will my model be?|Can I try a conversion first?",
          do="see the size before converting|test a conversion|simulate a conversion|check without writing|preview the conversion|know how large the output will be", flag="a dry run|a preview of the sizes|a test run without output|the size in advance")),
    ("check", "slm-convert check", "Run slm-convert check FOLDER.",
     dict(ask="How do I check a model folder?|How do I validate a model folder?|Is my model folder complete?|Is my model damaged?|What verifies a folder?",
          do="check a model folder|validate a folder|verify a converted model|find out whether a folder is complete|test a folder for damage|check the hashes", flag="a check of a folder|validation of a folder|verification|an integrity check")),
    ("search", "search looks", "search looks for the scale of least squared error in each block. It is the default algorithm.",
     dict(ask="What does the search algorithm do?|What is the default algorithm?|Which algorithm does slm-convert use?|How are the scales found?|How does slm-convert choose scales?",
          what="the search algorithm|the default algorithm|the algorithm search|the way scales are chosen|the algorithm of slm-convert")),
    ("olive", "slm-convert auto-opt", "Yes: slm-convert auto-opt takes the flags of olive auto-opt.",
     dict(ask="Does slm understand Olive commands?|Can I use olive auto-opt?|What replaces olive auto-opt?|Are Olive's flags supported?|Do my Olive scripts still work?|I know Olive. Can I keep its command lines?",
          do="use Olive's commands|run my Olive scripts|keep my olive command lines|replace olive auto-opt|come from Olive", flag="Olive|olive auto-opt|Olive commands|Olive compatibility|Olive's flags")),
    # Formats.
    ("folder", "genai_config.json", "A model folder has genai_config.json, model.onnx, model.onnx.data and the tokenizer files.",
     dict(ask="What is in a model folder?|Which files does a model folder have?|What files do I need?|What does a model folder look like?|What does slm-convert write?|Name the files of a model.",
          what="a model folder|the model folder|the layout of a model folder", flag="the files of a model|the folder layout|the list of files|the needed files")),
    ("weights", "model.onnx.data", "The weights are in model.onnx.data.",
     dict(ask="Where are the weights?|Which file holds the weights?|What is in model.onnx.data?|Which file is the largest?|Where are the parameters stored?|In which file do I find the weights?",
          what="model.onnx.data|the file model.onnx.data|the big data file", flag="the weights|the weight file|the parameters of the model|the file with the weights")),
    ("graph", "graph of the model", "model.onnx holds the graph of the model.",
     dict(ask="What is in model.onnx?|What is model.onnx for?|What does the file model.onnx hold?|Where is the graph stored?|Why is there a model.onnx?",
          what="model.onnx|the file model.onnx|the onnx file|the ONNX file in the folder")),
    ("tokenizer", "vocabulary, merges", "tokenizer.json holds the tokenizer: its vocabulary, merges and rules.",
     dict(ask="What is tokenizer.json?|What is in tokenizer.json?|Which file holds the vocabulary?|Where are the merges stored?|Where is the tokenizer stored?",
          what="tokenizer.json|the file tokenizer.json|the tokenizer file", flag="the vocabulary|the tokenizer|the merges|the file with the vocabulary")),
    ("inference", "inference_model.json", "inference_model.json has the model's name and prompt template for Foundry Local.",
     dict(ask="What is inference_model.json?|What is inference_model.json for?|Which file does Foundry Local need?|Which file has the name of the model?|Why is there an inference_model.json?",
          what="inference_model.json|the file inference_model.json|inference model json", flag="the model's name|the file that Foundry Local needs|the name of a model in Foundry")),
    ("template", "chat_template.jinja", "chat_template.jinja holds the chat template.",
     dict(ask="Where is the chat template?|Which file holds the chat template?|What is chat_template.jinja?|Where is the Jinja template?|In which file is the template for chats?",
          what="chat_template.jinja|the chat template|the file chat_template.jinja|the Jinja file", flag="the file of the chat template|the Jinja template|the prompt format of a model")),
    ("foundry", "Foundry", "Yes. slm opens the folders of Foundry Local, Olive and ONNX Runtime GenAI as they are.",
     dict(ask="Does slm open Foundry Local models?|Can slm run Foundry models?|Which folders can slm open?|Does slm work with ONNX Runtime GenAI folders?|Which model formats does slm open?|Can I keep using my Foundry Local cache?|Will my Foundry Local model run in slm?",
          do="open a Foundry Local model|use a model from Foundry Local|run an ONNX Runtime GenAI model|use my existing ONNX models|run a Foundry model", flag="Foundry Local models|ONNX Runtime GenAI folders|Foundry support|ONNX models")),
    # Terms.
    ("int4", "4 bits", "int4 means that each weight has 4 bits.",
     dict(ask="What is int4?|How many bits are in int4?|What does the 4 in int4 mean?|What are 4-bit weights?|How many bits has an int4 weight?",
          what="int4|the word int4|4-bit quantisation|the int4 format|an int4 model|a 4-bit weight")),
    ("kvcache", "keys and values", "The KV cache holds the keys and values of the tokens so far, so that they are computed once.",
     dict(ask="What does the KV cache do?|Why does memory grow with the context?|Why is there a KV cache?",
          what="the KV cache|a KV cache|the cache of keys and values|the key-value cache|KV|the attention cache")),
    ("ttft", "first token", "TTFT is the time to the first token.",
     dict(ask="What does TTFT stand for?|What is the abbreviation TTFT?|What stands TTFT for?",
          what="TTFT|ttft|the term TTFT|the figure ttft|the abbreviation TTFT|time to first token")),
    ("prefill", "reading of the prompt", "Prefill is the reading of the prompt; decode makes one token after the other.",
     dict(ask="What is the difference between prefill and decode?|How do prefill and decode differ?|Why is prefill faster than decode?|What are the two phases of generation?|What do prefill and decode mean?",
          what="prefill|decode|prefill and decode|the prefill phase|decoding|the decode phase")),
    ("token", "piece of text", "A token is a piece of text: a word or a part of one.",
     dict(ask="What are tokens?|How long is a token?|Is a token a word?|Do tokens equal words?|What does the word token mean?",
          what="a token|tokens|the word token|one token|a text token|tokenisation")),
    ("lora", "small adapter", "A LoRA is a small adapter: two thin matrices that change a model's weights.",
     dict(ask="What does LoRA stand for?|How does a LoRA work?|What is LoRA good for?",
          what="a LoRA|LoRA|low-rank adaptation|the term LoRA|a LoRA adapter|a low-rank adapter")),
    ("quant", "fewer bits", "Quantisation stores weights with fewer bits, so the model is smaller and faster.",
     dict(ask="Why quantise a model?|What does quantisation do?|Does quantisation make a model smaller?|Why are models quantised?|What is the point of quantising?",
          what="quantisation|quantization|quantising|a quantised model|weight quantisation|the term quantisation")),
    ("context", "reads at once", "The context is all the text that the model reads at once: prompt, history and answer.",
     dict(ask="How much text can a model read?|What does the context hold?|What counts towards the context?",
          what="the context|a context window|the context window|context length|the word context|the window of a model")),
    ("perplexity", "surprised", "Perplexity says how surprised a model is by a text; lower is better. slm-bench ppl MODEL -f FILE measures it.",
     dict(ask="How do I measure the quality of a model?|Is a low perplexity good?|Which command measures perplexity?|How good is my model?|What does a perplexity of 10 tell me?",
          what="perplexity|ppl|the perplexity of a model|the term perplexity", do="measure perplexity|measure the quality of a model|see how good my model is|check what quantisation cost", flag="a quality measure|perplexity|the quality of a model")),
    # slm-bench and slm-inspect.
    ("bench", "slm-bench", "Run slm-bench MODEL.",
     dict(ask="How do I measure the speed?|How fast is my model?|How do I benchmark a model?|Which tool measures speed?|What is slm-bench for?|How do I use slm-bench?|What do I run to see how fast a model is?",
          do="measure the speed of a model|benchmark a model|run a benchmark|time my model|test the performance|use slm-bench|see how fast my machine is", flag="a benchmark|benchmarks|a speed test|performance figures|the speed of my model")),
    ("profile", "--profile", "Use slm-bench MODEL --profile.",
     dict(ask="How do I see where the time goes?|How do I profile a model?|Which flag prints the time of each op?|Which op is slow?|How can I find the slow operators?",
          do="profile a model|see where the time goes|see the time of each op|find the slowest op|get a profile", flag="a profile|profiling|the time per operator|a breakdown of the time|a profiler")),
    ("pp512", "prefill of 512", "pp512 is the prefill of 512 tokens.",
     dict(ask="What does pp512 stand for?|How do I read the row pp512?|What does the test pp512 measure?",
          what="pp512|the test pp512|the name pp512|the row pp512|pp in slm-bench")),
    ("tg64", "decoding of 64", "tg64 is the decoding of 64 tokens.",
     dict(ask="What does tg64 stand for?|How do I read the row tg64?|What does the test tg64 measure?",
          what="tg64|the test tg64|the name tg64|the row tg64|tg in slm-bench")),
    ("inspect", "slm-inspect graph", "Use slm-inspect graph MODEL.",
     dict(ask="How do I look at the graph?|Which tool shows the graph?|How do I see the nodes of a model?|What is slm-inspect for?|What prints a model's graph?",
          do="look at the graph|see the nodes of a model|print the graph|look inside a model|view the layers|inspect a model", flag="the graph of a model|the nodes|a view of the graph|the layers of a model|the structure of a model")),
    ("ops", "slm-inspect ops", "Run slm-inspect ops.",
     dict(ask="Which operators are supported?|How do I list the operators?|What lists all known ops?|Is my operator supported?|How can I see the supported ops?",
          do="list the operators|see the supported ops|check whether an op is supported|find all operators", flag="the list of operators|the supported operators|the known ops|ONNX operators")),
    ("simd", "SLM_TARGET", "Set SLM_TARGET, for example SLM_TARGET=AVX2.",
     dict(ask="How do I choose the SIMD target?|How do I force AVX2?|Which variable sets the SIMD target?|How do I turn AVX-512 off?|Can I restrict slm to AVX2?",
          do="choose the SIMD target|force AVX2|restrict slm to SSE4|turn off AVX-512|use another instruction set|test the AVX2 kernels", flag="the SIMD target|AVX2|the instruction set|AVX-512|the variable for the SIMD target")),
    # The model itself.
    ("who", "demo model", "I am the demo model of slm, a tiny language model of a few million weights.",
     dict(ask="Who are you?|What are you?|What is your name?|Introduce yourself.|Tell me about yourself.|Are you ChatGPT?|How big are you?|How many parameters do you have?|Which model is this?|Who am I talking to?|Do you have a name?|Say who you are.|What model are you?|Describe yourself.|What should I call you?|What kind of model are you?")),
    ("trained", "generates", "I was trained on a text that the project generates itself: a guide to slm, small sums, lists, stories and small talk.",
     dict(ask="What were you trained on?|What is your training data?|How were you trained?|Who trained you?|Which data did you learn from?|What did you learn from?|How did you learn all this?|Where were you trained?|On what text did you train?|Who made you?|Who created you?|How were you made?|What have you read?|Where does your knowledge come from?")),
    ("can", "I can explain slm", "I can explain slm, add small numbers, convert units, format lists and JSON, and tell short stories.",
     dict(ask="What can you do?|What can I ask you?|How can you help me?|Help|What do you know?|What are your skills?|What can I do with you?|What should I ask you?|Give me an idea what to ask.|Which questions can you answer?|What kind of things can you do?|What topics do you know?|Can you help me?|I need help.|What are your strengths?|Show me what you can do.|What are you good at?")),
    ("cannot", "I know little", "I know little: I cannot answer general questions, write code or reason about long texts.",
     dict(ask="What can you not do?|What are your limits?|What are you bad at?|What can't you do?|What don't you know?|What are your weaknesses?|Do you know everything?|Are you smart?|Where do you fail?|How good are you?|Can I trust you?|Are you always right?|Do you make mistakes?|Which questions can't you answer?|What is too hard for you?|What should I not ask you?")),
]

_EXIT_CODES = {
    0: ("means ok", "ok"), 2: ("usage", "a usage error: a wrong flag or argument"),
    3: ("not found", "that the model or file was not found"),
    4: ("invalid", "that the model is invalid or not supported"),
    5: ("not enough memory", "not enough memory"),
    7: ("overflow", "a context overflow"),
    130: ("Ctrl-C", "that Ctrl-C stopped it"),
}


def _exit_fact(code, expected, meaning):
    return (f"exit{code}", expected, f"Exit code {code} means {meaning}.",
            dict(ask=f"What does exit code {code} mean?|Why does slm-run end with {code}?|I got exit code {code}. Why?|The exit status is {code}.|slm-run returned {code}.|My script got {code} from slm-run.|slm-run ended with {code}. What does it mean?",
                 what=f"exit code {code}|the exit code {code}|exit status {code}|the code {code}|return code {code}|error code {code}"))


class Fact:
    """One fact: `questions` are trained on, `other_words` never."""

    def __init__(self, key, expected, answer, phrases):
        self.key, self.expected, self.answer = key, expected, answer
        asked = phrases["ask"].split("|")
        self.questions, self.other_words = asked[:-1], asked[-1]
        self.phrases = {kind: text.split("|")
                        for kind, text in phrases.items() if kind != "ask"}

    def framed(self, rng, frames=None):
        """A phrase in a frame of its kind, or None where it has none."""
        if not self.phrases:
            return None
        # Kinds weigh as much as they have phrases.
        kind = rng.choices(list(self.phrases),
                           [len(p) for p in self.phrases.values()])[0]
        return fill(rng.choice((frames or FRAMES)[kind]),
                    rng.choice(self.phrases[kind]))


def fill(frame, phrase):
    """The phrase in its frame, with a capital where it begins the question."""
    if frame.startswith("{}") and frame != "{}":
        phrase = phrase[0].upper() + phrase[1:]
    return frame.format(phrase)


FACTS = [Fact(*fact) for fact in _FACTS + [
    _exit_fact(code, *texts) for code, texts in _EXIT_CODES.items()]]
