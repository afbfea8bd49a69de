/// The release this source is, or is going to be. The Makefile names archives after it.
package let slipwayVersion = "0.1.0"
