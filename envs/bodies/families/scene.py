"""What the models of several families share: light, sky, a floor of tiles, and the frame of the XML."""

from __future__ import annotations

MODEL = """<mujoco model="{name}">
  <compiler angle="degree"/>
  <option {option}/>
  <default>
    <joint {joint}/>
    <geom {geom}/>
    <motor ctrllimited="true" ctrlrange="-1 1"/>
  </default>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="1 1 1" rgb2="0.6 0.7 0.8" width="64" height="64"/>
    <texture name="tiles" type="2d" builtin="checker" rgb1="0.85 0.85 0.85" rgb2="0.7 0.7 0.7" width="64" height="64"/>
    <material name="floor" texture="tiles" texrepeat="80 80"/>
  </asset>
  <worldbody>
    <light directional="true" castshadow="false" pos="0 0 3" dir="0 0 -1"/>
    <geom name="floor" type="plane" size="40 40 1" pos="0 0 {floor}" conaffinity="1" condim="3" material="floor"/>
{body}
  </worldbody>
  <actuator>
{motors}
  </actuator>
</mujoco>
"""


def model(name: str, option: str, joint: str, geom: str, body: str, gears: dict[str, float], floor: float = 0) -> str:
    """The XML of a model.

    Args:
        option: attributes of the simulation.
        joint, geom: those that all joints and geoms have, unless they say otherwise.
        body: the XML of the root and of all that hangs on it.
        gears: joint -> the torque of its motor at the action 1.
        floor: its height.
    """
    motors = "\n".join(f'    <motor joint="{each}" gear="{gear}"/>' for each, gear in gears.items())
    return MODEL.format(name=name, option=option, joint=joint, geom=geom, body=body, motors=motors, floor=floor)
