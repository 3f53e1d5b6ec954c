/*
 * The memory and string functions that gcc and Zydis expect, with libc's contracts.
 * On the test host libc's own are linked instead of string.c.
 */
#pragma once

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

/* -ffreestanding makes these calls; as built-ins, short copies of constant size are moves. */
#define memcpy	__builtin_memcpy
#define memmove __builtin_memmove
#define memset	__builtin_memset
#define memcmp	__builtin_memcmp
