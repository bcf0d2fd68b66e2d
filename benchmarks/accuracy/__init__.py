"""Who finds more, on equal terms: edge_ad, anomalib, or patchcore-inspection's convention?"""
