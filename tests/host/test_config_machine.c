/*
 * The configuration against a machine: CPUs, memory, files.
 */
#include "test.h"
#include "tests/fake/config_rig.h"

static struct config_machine machine;

static const char *check(void)
{
	why.text[0] = '\0';
	return config_check_machine(&c, &machine, &why) ? "" : why.text;
}

static bool files(void *ctx, const char *name, uint64_t *size)
{
	CHECK(ctx == &machine);
	*size = strcmp(name, "big") == 0 ? MIB(16) : 512;
	return strcmp(name, "gone") != 0;
}

TEST(machine_cpus_and_memory)
{
	ACCEPTED(BASE SECOND);
	machine = (struct config_machine){0};
	CHECK_STR(check(), "");
	machine = (struct config_machine){.cpus = 2, .memory = MIB(32), .largest_block = MIB(16)};
	CHECK_STR(check(), "");
	machine.cpus = 1;
	CHECK_STR(check(),
		  "t.conf:6:8: error: guest 'b': CPU 1 does not exist; this machine has 1, "
		  "numbered from 0");
	machine.cpus = 0;
	machine.memory = MIB(31);
	machine.machine_name = "the test";
	CHECK_STR(check(), "t.conf:7:10: error: guest 'b' wants 16M, but 15M of the test are left; "
			   "make guests smaller");
	machine.memory = 0;
	machine.largest_block = MIB(16) - PAGE_SIZE;
	CHECK_STR(check(), "t.conf:3:10: error: guest 'a' wants 16M, but the largest block of the "
			   "test is 16380K; make it smaller");
}

static const char *unusable(void *ctx, unsigned cpu)
{
	(void)ctx;
	return cpu == 1 ? "CPU 1 has no VMX, unlike the boot CPU" : NULL;
}

TEST(machine_cpus_that_cannot_run_guests)
{
	ACCEPTED(BASE SECOND);
	machine = (struct config_machine){.cpus = 4, .cpu_unusable = unusable};
	CHECK_STR(check(), "t.conf:6:8: error: guest 'b' cannot run on CPU 1: CPU 1 has no VMX, "
			   "unlike the boot CPU");
	ACCEPTED(BASE);
	CHECK_STR(check(), "");
}

static const char *taken(void *ctx, uint64_t base, uint64_t size)
{
	(void)ctx;
	return base < 0x80001000 && base + size > 0x80000000 ? "RAM" : NULL;
}

TEST(machine_memory_is_not_passed_through)
{
	machine = (struct config_machine){.mmio_taken = taken};
	ACCEPTED(BASE "mmio = 0x80001000+4K\n");
	CHECK_STR(check(), "");
	ACCEPTED(BASE "mmio = 0x90000000+4K, 0x7fff0000+64K\n" SECOND);
	CHECK_STR(check(), "");
	ACCEPTED(BASE "mmio = 0x90000000+4K, 0x7ffff000+8K\n");
	CHECK_STR(check(), "t.conf:5:23: error: guest 'a': mmio 0x7ffff000-0x80000fff meets RAM of "
			   "this machine; only registers of a device can be passed through");
}

TEST(machine_files)
{
	machine = (struct config_machine){.file_exists = files, .ctx = &machine};
	ACCEPTED(BASE "initrd = i\n");
	CHECK_STR(check(), "");
	ACCEPTED(BASE "initrd = gone\n");
	CHECK_STR(check(), "t.conf:5:10: error: file 'gone' is not there; put it beside the "
			   "configuration");
	ACCEPTED(BASE "module = big x\n");
	CHECK_STR(check(), "t.conf:5:10: error: file 'big' of 16M does not fit into the guest's "
			   "memory of 16M; raise memory on line 3");
	ACCEPTED(BASE "load = 0x7c00\nentry = 0x7dff\n");
	CHECK_STR(check(), "");
	ACCEPTED(BASE "load = 0x7c00\nentry = 0x7e00\n");
	CHECK_STR(check(), "t.conf:6:9: error: entry 0x7e00 lies behind the image, which ends at "
			   "0x7e00");
}
