// Functions of the C library that Swift's own module for it leaves out.
#ifndef KEEL_HOST_H
#define KEEL_HOST_H

#ifdef __linux__
#include <execinfo.h>
#include <malloc.h>
#endif

#endif
