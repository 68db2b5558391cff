"""What a policy sees: moments of an episode, what its actions and units depend on in each, as one HTML page.

    python evaluate.py policy=pretrained/DoorKey-8x8-cnn inspect=page.html

`moments` plays, `measures` measures, `sections` and `page` write.
"""
