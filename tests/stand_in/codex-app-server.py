#!/usr/bin/env python3
"""Stands for `codex app-server --listen stdio://`: hooks/list and config/batchWrite as Codex CLI 0.171.0 answers them.

Reads hooks.json and keeps trust in config.toml, both in $CODEX_HOME, else in ~/.codex. A file `mode` there holds words
that say how it misbehaves. Each request is a line of `requests.jsonl` there.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HOME = Path(os.environ.get('CODEX_HOME') or Path(os.environ['HOME'], '.codex'))
CONFIG = HOME / 'config.toml'
MODE = (HOME / 'mode').read_text().split() if (HOME / 'mode').exists() else []
ENTRY = re.compile(r'\n\[hooks\.state\."((?:[^"\\]|\\.)*)"\]\ntrusted_hash = "([^"]*)"\n')


def config():
    return CONFIG.read_text() if CONFIG.exists() else ''


def say(message):
    print(json.dumps(message), flush=True)


def hooks():
    path = HOME / 'hooks.json'
    trusted = {key.replace('\\"', '"').replace('\\\\', '\\'): value for key, value in ENTRY.findall(config())}
    for event, groups in json.loads(path.read_text())['hooks'].items():
        for at, group in enumerate(groups):
            for place, hook in enumerate(group['hooks']):
                snake = re.sub(r'(?<!^)([A-Z])', r'_\1', event).lower()
                key = f'{path}:{snake}:{at}:{place}'
                now = 'sha256:' + hashlib.sha256(json.dumps([event, hook]).encode()).hexdigest()
                status = {None: 'untrusted', now: 'trusted'}.get(trusted.get(key), 'modified')
                yield {
                    'key': key, 'eventName': event, 'handlerType': 'command', 'command': hook['command'],
                    'sourcePath': str(path), 'source': 'user', 'enabled': 'off' not in MODE, 'currentHash': now,
                    'trustStatus': status,
                }


def write(parameters):
    version = 'sha256:' + hashlib.sha256(config().encode()).hexdigest()
    if parameters.get('expectedVersion') not in (None, version):
        raise ValueError('Configuration was modified since last read.')
    text = config()
    for edit in parameters['edits']:
        path, value = edit['keyPath'], edit['value']
        if path == 'hooks.state' and value is None:
            text = text.replace('\n[hooks.state]\n', '')
        elif path == 'hooks.state':
            if '[hooks.state]' not in text:
                text += '\n[hooks.state]\n'
            for key, entry in value.items():
                quoted = key.replace('\\', '\\\\').replace('"', '\\"')
                text = ENTRY.sub(lambda found: '' if found[1] == quoted else found[0], text)
                text += f'\n[hooks.state."{quoted}"]\ntrusted_hash = "{entry["trusted_hash"]}"\n'
        else:
            text = ENTRY.sub(lambda found: '' if path == f'hooks.state."{found[1]}"' else found[0], text)
    if 'keeps' not in MODE:
        CONFIG.write_text(text)
    return {'status': 'ok', 'version': 'sha256:' + hashlib.sha256(config().encode()).hexdigest()}


def answer(method, parameters):
    if method == 'initialize':
        return {'userAgent': 'codex', 'codexHome': str(HOME)}
    if method == 'hooks/list' and 'unlisted' in MODE:
        return {'data': [{'hooks': [], 'warnings': ['failed to parse hooks config'], 'errors': []}]}
    if method == 'hooks/list' and 'old' not in MODE:
        more = [{'key': 'of another kind'}] if 'odd' in MODE else []
        return {'data': [{'cwd': parameters['cwds'][0], 'hooks': [*more, *hooks()], 'warnings': [], 'errors': []}]}
    if method == 'config/batchWrite' and 'locked' not in MODE:
        return write(parameters)
    raise ValueError(f'Invalid request: unknown variant `{method}`, expected one of ' + '`thread/start`, ' * 99)


if 'ends' in MODE:
    sys.exit('error: unexpected argument')
if 'stays' in MODE:
    # It does not end with its input, nor does its child.
    child = subprocess.Popen(['sleep', '600'])
    (HOME / 'pids').write_text(f'{os.getpid()} {child.pid}')
for line in sys.stdin:
    request = json.loads(line)
    with (HOME / 'requests.jsonl').open('a') as log:
        log.write(line)
    if 'id' not in request or 'silent' in MODE:
        continue
    if 'noise' in MODE:
        print('not JSON {', flush=True)
        say({'method': 'configWarning', 'params': {'summary': 'x' * 100000}})
        # A request of its own, and an answer to another one.
        say({'id': request['id'], 'method': 'execCommandApproval', 'params': {}})
        say({'id': request['id'] + 100, 'result': None})
    while 'flood' in MODE and request['method'] != 'initialize':
        say({'method': 'remoteControl/status/changed', 'params': {}})
    try:
        say({'id': request['id'], 'result': answer(request['method'], request.get('params'))})
    except ValueError as error:
        say({'id': request['id'], 'error': {'code': -32600, 'message': str(error)}})
if 'stays' in MODE:
    child.wait()
