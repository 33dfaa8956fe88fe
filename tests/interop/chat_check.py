#!/usr/bin/env python3
"""Compares heed's chat templates with jinja2, configured as transformers does: templates in the styles of the common
families, and small ones for every filter, test, method and rule of white space, over conversations with Unicode, tools
and odd values. Both must write the same text, or both refuse.

  python3 tests/interop/chat_check.py [build/test_interop] [--only NAME] [--keep FOLDER]

Exits with 77 where jinja2 is missing.
"""
import datetime
import itertools
import json
import sys

from interop_common import arguments, ask, built, folder_of, needed, report

with needed():
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2026, 3, 7, 14, 5, 9)


class Generation(Extension):
    """{% generation %} of transformers, which only marks what it holds."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller):
        return caller()


def environment():
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])

    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda form: NOW.strftime(form)
    return made


# Written for this check, in the manner of each family.
FAMILIES = {
    "chatml": """
{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}
""",
    "llama-2": """
{%- if messages[0]['role'] == 'system' -%}
    {%- set system = '<<SYS>>\\n' ~ messages[0]['content'] | trim ~ '\\n<</SYS>>\\n\\n' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set system = '' -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for turn in turns -%}
    {%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{- raise_exception('turns must alternate between user and assistant') -}}
    {%- endif -%}
    {%- set content = system + turn['content'] if loop.first else turn['content'] -%}
    {%- if turn['role'] == 'user' -%}
        {{- bos_token + '[INST] ' + content.strip() + ' [/INST]' -}}
    {%- elif turn['role'] == 'assistant' -%}
        {{- ' ' + content.strip() + ' ' + eos_token -}}
    {%- endif -%}
{%- endfor -%}
""",
    "llama-3": """
{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") if strftime_now is defined else "1 Jan 2025" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none and tools is defined %}
    {{- "Tools are there.\\n" }}
    {%- for tool in tools %}
        {{- tool | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- "Date: " + date_string + "\\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}" }}
    {%- elif message.role == "tool" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or (message.content is iterable and message.content is not string) %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "mistral": """
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set ns = namespace(index=0, last=-1) %}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}{%- set ns.last = loop.index0 %}{%- endif %}
    {%- if not (message.role == "tool" or message.tool_calls is defined and message.tool_calls is not none) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("user and assistant take turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for call in message.tool_calls %}
            {%- set out = call.function|tojson %}
            {{- out[:-1] }}{{- ', "id": "' + call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- elif message["role"] == "tool" %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content|string + "}[/TOOL_RESULTS]" }}
    {%- else %}
        {{- raise_exception("only user, assistant, system and tool") }}
    {%- endif %}
{%- endfor %}
""",
    "qwen": """
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or (not loop.last and reasoning_content)) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
                {{- '<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}{{- content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "gemma": """
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Turns alternate user/model/user/model") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<start_of_turn>model\\n'}}{%- endif -%}
""",
    "phi": """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'user' %}{{'<|user|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'assistant' %}{% generation %}{{'<|assistant|>
' + message['content'] + '<|end|>
'}}{% endgeneration %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}""",
    "macros": """
{%- macro show(message, mark='<>') -%}
    {{ mark[0] }}{{ message.role | upper }}{{ mark[1] }} {{ message.content }}
{%- endmacro %}
{%- macro all(items) %}{% for m in items if m.role != 'system' %}{{ show(m, mark='()') if loop.last else show(m) }}
{% endfor %}{% endmacro %}
{{- all(messages) -}}
{% set block %}[{{ messages | length }} {{ messages | map(attribute='role') | join(',') }}]{% endset %}
{{ block | trim }}
{% for role, group in {'a': 1, 'b': messages[0].content}.items() %}
  {{- role }}={{ group }}{{ '' if loop.last else '; ' }}
{%- endfor %}
""",
}

TOOLS = [{"type": "function", "function": {"name": "weather", "description": "It's \"<sunny>\" & é", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer", "default": 3}},
    "required": ["place"]}}}]


def conversations():
    user = lambda text: {"role": "user", "content": text}
    assistant = lambda text: {"role": "assistant", "content": text}
    system = {"role": "system", "content": "  You answer in verse. \n"}
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "abc123def", "type": "function", "function": {
        "name": "weather", "arguments": {"place": "Zürich", "days": 2, "exact": True, "x": None, "y": 1.5}}}]}
    tool = {"role": "tool", "name": "weather", "content": "{\"sky\": \"blue\"}"}
    yield [user("Hello")]
    yield [user("  Hello  \n"), assistant(" Hi! "), user("日本語 😀 \u00a0 <|im_end|> {{ x }} {% if %}")]
    yield [system, user("Hello"), assistant("Hi"), user("a\nb\n")]
    yield [system, user("What is 1+1?"), assistant("<think>\nlet me see\n</think>\n\nTwo."), user("And?")]
    yield [user("weather?"), call, tool, assistant("It is blue."), user("thanks")]
    yield [system, user("weather?"), call, tool]
    yield [user([{"type": "image"}, {"type": "text", "text": " what is it? "}])]
    yield [user("one"), user("two")]
    yield [assistant("I begin")]
    yield [system]
    yield [user("")]
    yield []


SMALL = r"""
{{ "a" ~ 1 ~ true ~ none ~ 1.0 ~ [1, 'x', "it's"] ~ {'k': (1,), "é": 2.5e-7} }}|{{ x }}|{{ [] }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 1_000 + 2 }} {{ 1e3 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}
{{ 1 + 2 ~ 3 * 4 }} {{ (1, 2)[1] }} {{ "abc"[::-1] }} {{ "héllo"[1:-1] }} {{ [1,2,3,4][::2] }} {{ [1,2,3][5:] }} {{ [1,2,3][-2:] }} {{ "abc"[5] }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' in 'cat' }} {{ 'a' not in ['b'] }} {{ 'k' in {'k': 1} }} {{ [1] == [1] }} {{ (1,) == [1] }}
{{ not true or true and false }} {{ 'x' or 'y' }} {{ '' or 'y' }} {{ 0 and 1 }} {{ not 0 }} {{ 'yes' if 1 else 'no' }}|{{ 'yes' if 0 }}|
{{ undefined_thing }}|{{ undefined_thing is defined }}|{{ undefined_thing | default('d') }}|{{ '' | d('e', true) }}|{{ none is none }}
{{ "  x " | trim }}|{{ "xxaxx" | trim('x') }}|{{ "HeLLo wORLD" | capitalize }}|{{ "heLLo wOrld-x (y" | title }}|{{ "heLLo it's" .title() }}|{{ "ß" | upper }}|{{ 'ÀÉ' | lower }}
{{ [1, 2] | length }} {{ 'héé' | length }} {{ {'a': 1} | count }} {{ 'a,b' .split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a b c d'.rsplit(None, 1) }} {{ 'a--b--c'.rsplit('--', 1) }}
{{ ' a b  c '.split(None, 1) }} {{ 'abc'.replace('b', 'x') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 'aXbX'.replace('X', '', 1) }} {{ 'abc'.startswith('a') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.find('c') }} {{ 'aba'.count('a') }}
{{ 'a\nb\r\nc'.splitlines() }} {{ '-'.join(['a', 'b']) }} {{ 'abc'.upper() }} {{ 'xay'.strip('xy') }} {{ 'x y'.isspace() }} {{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'prefix-a'.removeprefix('prefix-') }}
{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A'] | sort(reverse=true) }} {{ [{'n': 2}, {'n': 1}] | sort(attribute='n') }} {{ ['b', 'A', 'c'] | sort(case_sensitive=true) }}
{{ [1, 2, 3] | sum }} {{ [1, 5, 3] | max }} {{ ['b', 'A'] | min }} {{ [1, 1, 2] | unique | list }} {{ [1, 2, 3] | first }} {{ [1, 2, 3] | last }} {{ [1, 2] | reverse | list }} {{ 'abc' | reverse }}
{{ [1, 2, 3, 4] | select('odd') | list }} {{ [1, 2, 3, 4] | reject('gt', 2) | list }} {{ [0, 1, '', 'a'] | select | list }} {{ [{'a': 1}, {'a': 0}, {}] | selectattr('a') | list }} {{ [{'a': 1}, {'a': 2}] | rejectattr('a', 'equalto', 2) | list }}
{{ ['a', 'b'] | map('upper') | join('+') }} {{ [{'a': {'b': 1}}] | map(attribute='a.b') | list }} {{ [{'a': 1}, {}] | map(attribute='a', default=9) | list }} {{ [1, 2] | join }} {{ 'abc' | list }} {{ [{'x': 1}, {'x': 2}] | join(', ', attribute='x') }}
{{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': 1, 'a': 2} | items | list }} {{ {'b': 1}.items() | list }} {{ {'b': 1}.keys() | list }} {{ {'b': 1}.values() | list }} {{ {'b': 1}.get('b') }} {{ {'b': 1}.get('c') }} {{ {'b': 1}.get('c', 'd') }}
{{ '12' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ 3.9 | int }} {{ '3.9' | int }} {{ '1.5' | float }} {{ 2 | float }} {{ 2.567 | round(1) }} {{ 2.5 | round }} {{ 2.1 | round(method='ceil') }} {{ -3 | abs }} {{ 42 | string + 'x' }}
{{ {'a': [1, 2.0, none, true, 'é"\n\t</script>'], 'b': {}} | tojson }} {{ {'b': [1, {'x': []}], 'a': {}} | tojson(indent=2) }} {{ 'é😀' | tojson(ensure_ascii=true) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ 1e100 | tojson }} {{ [] | tojson(indent=4) }}
{{ 'a\n\nb' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ '<a href="x">' | escape }}|{{ 'x' | safe }}
{{ 4 is even }} {{ 3 is odd }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ 'a' is string }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1 is integer }} {{ 1.0 is float }} {{ {} is mapping }} {{ [] is sequence }} {{ 'x' is iterable }} {{ 1 is iterable }} {{ none is not none }} {{ 1 is eq 1 }} {{ 1 is in [1] }} {{ 2 is gt 1 }} {{ true is true }} {{ 1 is true }} {{ true is boolean }} {{ 'a' is lower }} {{ 'A' is upper }} {{ 1 is sameas 1 }}
{% for i in range(5) %}{{ loop.index }}/{{ loop.length }}{{ loop.cycle('a', 'b') }}{% if loop.first %}F{% endif %}{% if loop.last %}L{% endif %} {{ loop.revindex0 }}{{ loop.previtem if loop.previtem is defined }}{{ loop.nextitem if loop.nextitem is defined }},{% endfor %}
{% for i in [1, 2, 3, 4, 5, 6] if i % 2 %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{{ loop.index }} {% else %}none{% endfor %}|{% for i in [] %}x{% else %}empty{% endfor %}|{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }},{% endfor %}
{% for i in range(1, 10, 3) %}{% if i == 4 %}{% continue %}{% endif %}{{ i }}{% endfor %} {% for c in 'añ' %}{{ c }}.{% endfor %} {% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %} {% for x in [[1, 2], [3]] %}{% for y in x %}{{ loop.depth }}{{ y }}{% endfor %}{{ loop.index }}{% endfor %}
{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{{ x }}{% endfor %}{{ x }} {% set ns = namespace(v=1) %}{% for i in [1, 2] %}{% set ns.v = ns.v + i %}{% endfor %}{{ ns.v }} {% if true %}{% set z = 5 %}{% endif %}{{ z }} {% set a, b = 1, 2 %}{{ a }}{{ b }} {% set t = 1, 2 %}{{ t }}
{% macro m(a, b='d') %}[{{ a }}{{ b }}{{ outer }}]{% endmacro %}{% set outer = 'o' %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m() }}
{% raw %}{{ not this }} {% nor this %}{% endraw %} {# nothing #}x{#- less -#} y {{- 'z' -}}  w
{{ "a" "b" 'c' }} {{ 'tab\tq\'"\\ \x41 \u00e9 \101' }} {{ '\d' }} {{ "é" }}
{{ [1, 2, ] }} {{ {'a': 1, } }} {{ (1) }} {{ () }} {{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }} {{ range(3) | list }} {{ namespace(a=1).a }}
{{ messages.0.role if messages else 'none' }} {{ messages[0]['role'] if messages }} {{ {'items': 1}['items'] }} {{ [[1, 2], [3, 4]] | map('first') | list }} {{ 3 | default(4) }} {{ [1, [2, [3]]] }}
{{ strftime_now('%Y-%m-%d %H:%M %b %A %j %%') }} {{ x is defined and x.y }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 5 // 2.0 }} {{ 5.5 % 2 }} {{ 'ab' * 3 }} {{ [0] * 2 }} {{ 1.0 }} {{ 1e16 }} {{ 1e15 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 123456789.123 }}
"""

LINES = ["{% if true %}\n  a\n{% endif %}\nb", "x\n   {% if true %}\n  a\n   {%+ endif %}\nb", "{% if true +%}\nq{% endif %}\n", "  {{ 1 }}\n {# c #}\n d",
         "a {%- if 1 -%} \n b \n {%- endif -%} c\n\n", "\n{% for i in [1,2] %}\n- {{ i }}\n{% endfor %}\n\n\n", "a\r\nb\r\n{% if 1 %}\r\nc{% endif %}\r\n", "{{- 1 -}}  \n x",
         "  {% set a = 1 %}  b", "a  {# x -#}\n b", "  {#- x #}\n b", "{% raw -%}\n  {{ a }}\n {%- endraw %}\n z", "a\n  {% raw %}\n b {% endraw %}\nc", "{", "{ {", "{%if 1%}x{%endif%}", "}} %} #}",
         "{{ '}}' }}{{ \"%}\" }}{{ {'a': {'b': 1}} }}", "{% if 1 %} {% if 2 %}\n\n x{% endif %}\n{% endif %}", "\n\n", "", "a\n", "  {% if 1 %}a{% endif %}  {% if 1 %}\nb{% endif %}"]

ERRORS = ["{{ x.y }}", "{{ x + 1 }}", "{{ 1 + 'a' }}", "{{ 'a' + 1 }}", "{{ none + 1 }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{% for i in 1 %}{% endfor %}", "{{ raise_exception('no') }}", "{{ 1 | nothing }}", "{{ 1 is nothing }}",
          "{% if %}{% endif %}", "{% for x in %}{% endfor %}", "{% if 1 %}", "{% endif %}", "{{ 1", "{% set %}", "{{ }}", "{{ 'a }}", "{# a", "{% raw %} x", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{% unknown %}", "{{ 1 2 }}", "{{ a b }}",
          "{{ [1].append(2) }}", "{{ 'a'.nothing() }}", "{{ x() }}", "{{ 1() }}", "{{ 'a' < 1 }}", "{{ none | length }}", "{{ 1 | length }}", "{{ [] | tojson(nothing=1) }}", "{% set x.y = 1 %}", "{% set a, b = 1, 2, 3 %}", "{% for a, b in [1] %}{% endfor %}",
          "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "{{ undefined_thing | tojson }}", "{{ 5 in 'abc' }}", "{{ {'a': 1}['b']['c'] }}", "{{ messages[99].role }}", "{{ 'a' * 'b' }}", "{{ {[]: 1} }}",
          "{% break %}", "{{ range(1000000000) }}", "{% set true = 1 %}", "{{ 'x'.__class__ }}", "{{ [1, 2][0:1:0] }}", "{{ $ }}", "{% if 1 %}{% else %}{% else %}{% endif %}", "{% for x in [1] %}{% endif %}"]


def questions():
    bos_and_eos = {"bos_token": "<s>", "eos_token": "</s>"}
    for (name, template), messages, prompt, tools in itertools.product(
            FAMILIES.items(), conversations(), (False, True), (None, TOOLS)):
        yield name, template, dict(messages=messages, add_generation_prompt=prompt, tools=tools, **bos_and_eos)
    for template in FAMILIES["qwen"], FAMILIES["llama-3"]:
        for messages in conversations():
            yield "options", template, dict(messages=messages, add_generation_prompt=True, enable_thinking=False,
                                            date_string="1 Jan", **bos_and_eos)
    pieces = [line for line in SMALL.strip().split("\n")]
    for piece in pieces + LINES + ERRORS:
        for messages in ([], [{"role": "user", "content": "c"}]):
            yield "small", piece, dict(messages=messages, **bos_and_eos)
    # Every expression of the lines by itself too.
    for piece in pieces:
        for part in piece.split("}}"):
            if "{{" in part and "%}" not in part:
                yield "small", "{{" + part.split("{{")[-1] + "}}", dict(messages=[], **bos_and_eos)


def main():
    args = arguments(__doc__, "test_interop").parse_args()
    program = built(args.program)
    jinja = environment()
    cases, texts = [], 0
    for name, template, variables in questions():
        if args.only and args.only not in name:
            continue
        try:
            text = jinja.from_string(template).render(**variables)
            texts += 1
        except Exception:  # of whatever kind: ours has one
            text = None
        cases.append({"name": name, "template": template, "variables": variables, "text": text})
    with folder_of(args.keep) as folder:
        (folder / "chats.json").write_text(json.dumps(cases))
        ask(program, "ChatInterop.*", folder, len(cases), "templates are written as jinja2 does")
    return report.finish(f"jinja2 {jinja2.__version__}: {texts} texts and {len(cases) - texts} refusals")


if __name__ == "__main__":
    sys.exit(main())
