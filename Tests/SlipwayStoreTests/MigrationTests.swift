import SlipwayStore
import Testing
