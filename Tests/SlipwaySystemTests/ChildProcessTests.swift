import SlipwaySystem
import Testing
