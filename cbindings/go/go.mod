module camrill

go 1.19
