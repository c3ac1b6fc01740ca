"""The kill path: armed once, then nothing here opens, forks, logs, sends, maps or grows."""
