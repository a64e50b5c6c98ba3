"""Photos: trees and tables, the journal, decoding, preprocessing and what is known by content."""
