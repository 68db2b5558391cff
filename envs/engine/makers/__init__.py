"""Compiled makers of levels: level s, bit for bit what `env.reset(seed=s)` of Farama makes, in 0.5 to 25 us.

    draws.py       NumPy's random draws
    world.py       a level while it is laid out; cells, objects, places, missions
    rooms.py       grids of rooms: doors, objects in rooms, connections
    one_room.py    Empty, DoorKey, LavaGap, the crossings, Memory, RedBlueDoors, GoToDoor, Fetch, ...
    many_rooms.py  FourRooms, LockedRoom, MultiRoom, Playground
    room_grids.py  Unlock, KeyCorridor, ObstructedMaze, ...
    instructions.py  BabyAI's instructions, and levels that are rejected; descriptions.py, of objects
    babyai_*.py    BabyAI's levels, by what they ask for; babyai_any.py any instruction: Synth, BossLevel, ...
    family.py      a compiled function and its options
    babyai.py      BabyAI's families
    families.py    which function lays out an environment's levels; where to register another
    make.py        from what was laid out to the engine's arrays

Farama's own levels are the proof: on first use a maker makes a few levels that Farama makes too, and is dropped if they
differ (a later MiniGrid may draw in another way).
"""
