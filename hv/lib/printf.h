/*
 * Formatted text without libc.
 *
 * Understood: %% %c %s %d %u %x, the length l, the flag 0, a width, and for %s a precision, also as
 * `*`. Nothing else; an unknown conversion is printed as it stands.
 */
#pragma once

#include "hv/types.h"
#include <stdarg.h>

/*
 * Writes at most size - 1 characters and a NUL into buf (size 0 writes nothing). Returns the number
 * of characters the whole text has, as snprintf does.
 */
size_t fmt_vprint(char *buf, size_t size, const char *fmt, va_list ap);
size_t fmt_print(char *buf, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Behind the string in buf, as much as there is room for. */
void fmt_append(char *buf, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
