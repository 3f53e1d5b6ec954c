/*
 * The fixed sizes of Mullion: every table is static, so these are the only limits there are.
 */
#pragma once

enum {
	MAX_CPUS = 256,	      /* physical CPUs */
	MAX_GUESTS = 16,      /* guests in one configuration */
	MAX_VCPUS = 64,	      /* vCPUs of one guest */
	MAX_MODULES = 16,     /* boot modules of one guest (multiboot `module = `) */
	MAX_GUEST_PCI = 16,   /* passed-through PCI functions of one guest */
	MAX_GUEST_PORTS = 16, /* passed-through port ranges of one guest */
	MAX_GUEST_MMIO = 16,  /* passed-through MMIO ranges of one guest */
	MAX_NAME = 32,	      /* a guest's name, with its NUL */
	MAX_FILE = 128,	      /* a file name, with its NUL */
	MAX_CMDLINE = 2048,   /* a guest's command line, with its NUL */
};
