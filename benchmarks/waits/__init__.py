"""How long does a person wait for each command, and does a stream cost more than single calls?"""
