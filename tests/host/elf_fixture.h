/*
 * ELF files for the loader tests, built segment by segment.
 */
#pragma once

#include "tests/host/load_fixture.h"

enum { ELF_FILE = 0x20000 };

static uint8_t elf[ELF_FILE];
static uint64_t elf_size;
static bool elf_is64;

static uint64_t elf_phoff(void)
{
	return elf_is64 ? 64 : 52;
}

static inline void put_word(uint8_t *p, uint64_t v)
{
	if (elf_is64) {
		put_le64(p, v);
	} else {
		put_le32(p, (uint32_t)v);
	}
}

static void elf_begin(bool is64, uint16_t machine, uint64_t entry)
{
	memset(elf, 0, sizeof(elf));
	elf_is64 = is64;
	elf_size = 0x1000;
	memcpy(elf, "\177ELF", 4);
	elf[4] = is64 ? 2 : 1;
	elf[5] = elf[6] = 1;
	put_le16(elf + 16, 2);
	put_le16(elf + 18, machine);
	put_le32(elf + 20, 1);
	put_word(elf + 24, entry);
	put_word(elf + (is64 ? 32 : 28), elf_phoff());
	put_le16(elf + (is64 ? 54 : 42), is64 ? 56 : 32);
}

/* The program header i, and where its fields are. */
static uint8_t *elf_ph(unsigned i)
{
	return elf + elf_phoff() + (size_t)i * (elf_is64 ? 56 : 32);
}

enum elf_field { F_OFFSET, F_VADDR, F_PADDR, F_FILESZ, F_MEMSZ };

static void elf_set(unsigned i, enum elf_field f, uint64_t v)
{
	static const uint8_t at64[] = {8, 16, 24, 32, 40}, at32[] = {4, 8, 12, 16, 20};

	put_word(elf_ph(i) + (elf_is64 ? at64[f] : at32[f]), v);
}

/* Appends a PT_LOAD segment of `filesz` bytes that are all `fill`; the header's number. */
static unsigned elf_add(uint64_t paddr, uint64_t vaddr, uint64_t filesz, uint64_t memsz,
			uint8_t fill)
{
	uint8_t *count = elf + (elf_is64 ? 56 : 44);
	unsigned i = get_le16(count);

	put_le16(count, (uint16_t)(i + 1));
	put_le32(elf_ph(i), 1);
	elf_set(i, F_OFFSET, elf_size);
	elf_set(i, F_PADDR, paddr);
	elf_set(i, F_VADDR, vaddr);
	elf_set(i, F_FILESZ, filesz);
	elf_set(i, F_MEMSZ, memsz);
	memset(elf + elf_size, fill, filesz);
	elf_size += filesz;
	return i;
}

static bool elf_load_file(void)
{
	return fixture_load(elf, elf_size, "kernel.elf");
}

/* Are all bytes of [at, at + len) `fill`? */
static inline bool filled(uint64_t at, uint64_t len, uint8_t fill)
{
	for (uint64_t i = 0; i < len; i++) {
		if (ram[at + i] != fill) {
			return false;
		}
	}
	return true;
}

static inline void elf_refused(const char *text)
{
	CHECK(!elf_load_file());
	CHECK_STR(why.text, text);
}
