/*
 * The first process for a 32-bit kernel: says that it runs, then powers the machine off.
 *
 * Freestanding, so that no 32-bit C library is needed to build it. System call numbers and arguments
 * are those of the i386 Linux ABI.
 */
enum { SYS_WRITE = 4, SYS_REBOOT = 88, SYS_NANOSLEEP = 162 };
enum { REBOOT_MAGIC1 = 0xfee1dead, REBOOT_MAGIC2 = 672274793, REBOOT_POWER_OFF = 0x4321fedc };

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

static void print(const char *text)
{
	long length = 0;

	while (text[length]) {
		length++;
	}
	call(SYS_WRITE, 1, (long)text, length);
}

void _start(void)
{
	long drain[2] = {0, 300000000}; /* the last line must leave the UART first */

	print("fact: init=32\nfact: end\n");
	call(SYS_NANOSLEEP, (long)drain, 0, 0);
	call(SYS_REBOOT, (long)REBOOT_MAGIC1, REBOOT_MAGIC2, REBOOT_POWER_OFF);
	print("init: power-off failed\n");
	for (;;) {
		call(SYS_NANOSLEEP, (long)drain, 0, 0);
	}
}
