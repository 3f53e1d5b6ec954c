/*
 * The whole test framework. A test program defines TEST(name) { ... } bodies and ends with nothing
 * else: tests register themselves, main is here. Output: one line per failed check, then
 * "PROGRAM: N passed, N failed"; exit status 1 if one failed. `PROGRAM name` runs one test.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_case {
	const char *name;
	void (*run)(void);
	struct test_case *next;
};

static struct test_case *test_list, **test_tail = &test_list;
static int test_failed_checks;

#define TEST(id)                                                                                   \
	static void test_##id(void);                                                               \
	static struct test_case case_##id = {#id, test_##id, NULL};                                \
	__attribute__((constructor)) static void register_##id(void)                               \
	{                                                                                          \
		*test_tail = &case_##id;                                                           \
		test_tail = &case_##id.next;                                                       \
	}                                                                                          \
	static void test_##id(void)

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);                  \
			test_failed_checks++;                                                      \
		}                                                                                  \
	} while (0)

/* Unsigned integers, shown in hex. */
#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		unsigned long long a_ = (unsigned long long)(a), b_ = (unsigned long long)(b);     \
		if (a_ != b_) {                                                                    \
			printf("%s:%d: failed: %s == %s (0x%llx, 0x%llx)\n", __FILE__, __LINE__,   \
			       #a, #b, a_, b_);                                                    \
			test_failed_checks++;                                                      \
		}                                                                                  \
	} while (0)

#define CHECK_STR(a, b)                                                                            \
	do {                                                                                       \
		const char *a_ = (a), *b_ = (b);                                                   \
		if (strcmp(a_, b_) != 0) {                                                         \
			printf("%s:%d: failed: %s\n  is:     \"%s\"\n  wanted: \"%s\"\n", __FILE__, \
			       __LINE__, #a, a_, b_);                                              \
			test_failed_checks++;                                                      \
		}                                                                                  \
	} while (0)

int main(int argc, char **argv)
{
	int passed = 0, failed = 0;

	for (struct test_case *t = test_list; t; t = t->next) {
		if (argc > 1 && strcmp(argv[1], t->name) != 0) {
			continue;
		}
		test_failed_checks = 0;
		t->run();
		if (test_failed_checks) {
			printf("FAILED %s\n", t->name);
			failed++;
		} else {
			passed++;
		}
	}
	printf("%s: %d passed, %d failed\n", argv[0], passed, failed);
	return failed || !passed;
}
