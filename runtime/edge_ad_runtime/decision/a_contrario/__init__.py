"""The a-contrario test: how many regions as unusual as this one would noise show in an image?

A network that is sure of good parts gives latents z that are standard normal there. The level of a
position is the mean of z^2 over its C channels. It is near 1 where the part is good. A region whose
levels are all high is unusual, and its *number of false alarms* (NFA) says how unusual: it is the
expected number of such regions in an image of nothing but noise. So a threshold on it has a meaning
without any defects: log10 NFA < 0 is at most one false alarm in each image (Desolneux, Moisan &
Morel 2000; for flows Tailanian et al. 2022, whose published test is `paper` here).

    counting.py     how many regions are tested: all at once as published, or by their size
    tree.py         the regions that are tested, and which of them count
    blocks.py       the older test of square windows
    nfa.py          the scales of an image together: a map of -log10 NFA
"""
