/*
 * The multiboot 1 information that a loader of test kernels relies on: memory, map, command line
 * (first word the file's name), modules, all placed clear of the image.
 */
#include "guest.h"

GUEST("bootinfo");

extern const char guest_begin[], guest_end[];

static void check_clear(uint32_t address, uint32_t size)
{
	CHECK(address + size <= (uintptr_t)guest_begin || address >= (uintptr_t)guest_end);
}

static bool starts_with(const char *text, const char *start)
{
	while (*start) {
		if (*text++ != *start++) {
			return false;
		}
	}
	return true;
}

void guest_main(void)
{
	const struct multiboot_info *info = multiboot();
	const struct multiboot_module *module = (const void *)(uintptr_t)info->mods_addr;
	uint64_t ram = 0, memory = guest_option("memory", 0) << 20;

	CHECK_EQ(boot_magic, 0x2badb002);
	CHECK_EQ(info->flags & 0x4d, 0x4d); /* memory, command line, modules, map */
	check_clear(boot_info, sizeof(*info));
	print("command line: %s\n", guest_cmdline());
	CHECK(starts_with(guest_cmdline(), "bootinfo.elf memory="));
	check_clear(info->cmdline, 64);
	CHECK(info->mem_lower >= 512 && info->mem_lower <= 640);
	CHECK(info->mem_upper * 1024ul <= memory && info->mem_upper * 1024ul >= memory - (2 << 20));

	check_clear(info->mmap_addr, info->mmap_length);
	for (uint32_t at = 0; at < info->mmap_length;) {
		const struct multiboot_mmap *m = (const void *)(uintptr_t)(info->mmap_addr + at);

		print("map: %lx + %lx type %u\n", (unsigned long)m->base, (unsigned long)m->length, m->type);
		ram += m->type == 1 ? m->length : 0;
		at += m->size + 4;
	}
	CHECK(ram <= memory && ram >= memory - (1 << 20));

	CHECK_EQ(info->mods_count, 2);
	check_clear(info->mods_addr, 2 * sizeof(*module));
	for (unsigned i = 0; i < 2; i++) {
		const char *data = (const char *)(uintptr_t)module[i].start;

		print("module: %x-%x %s\n", module[i].start, module[i].end,
		      (const char *)(uintptr_t)module[i].string);
		check_clear(module[i].start, module[i].end - module[i].start);
		CHECK_EQ(module[i].start % 4096, 0); /* as the header asks */
		CHECK_EQ(module[i].end - module[i].start, 8);
		CHECK(starts_with(data, i ? "module-2" : "module-1"));
	}
	CHECK(text_equal((const char *)(uintptr_t)module[0].string, "one.mod with arguments"));
	CHECK(text_equal((const char *)(uintptr_t)module[1].string, "two.mod"));
}
