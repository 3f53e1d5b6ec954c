/*
 * What Zydis needs of a C library (ZYAN_CUSTOM_LIBC): our own mem* functions, which make a decode
 * three times shorter than Zydis's built-in byte loops.
 */
#pragma once

#include "hv/lib/string.h"
#include <stdarg.h>

typedef va_list ZyanVAList;
#define ZYAN_VA_START	va_start
#define ZYAN_VA_ARG	va_arg
#define ZYAN_VA_END	va_end
#define ZYAN_VA_COPY	va_copy
#define ZYAN_MEMSET	memset
#define ZYAN_MEMCPY	memcpy
#define ZYAN_MEMMOVE	memmove
#define ZYAN_MEMCMP	memcmp
#define ZYAN_STRLEN	strlen
