package bilibili

// category is one entry of the category list.
type category struct {
	id   int
	name string
}

type section struct {
	category
	children []category
}

// sections are well-known categories of the real service; it has more, and any positive number is accepted in a submission.
var sections = []section{
	{category{1, "动画"}, []category{{24, "MAD·AMV"}, {25, "MMD·3D"}, {47, "短片·手书"}, {27, "综合"}}},
	{category{3, "音乐"}, []category{{28, "原创音乐"}, {31, "翻唱"}, {59, "演奏"}, {30, "VOCALOID·UTAU"}, {29, "音乐现场"}, {193, "MV"}, {130, "音乐综合"}}},
	{category{129, "舞蹈"}, []category{{20, "宅舞"}, {154, "舞蹈综合"}, {156, "舞蹈教程"}}},
	{category{4, "游戏"}, []category{{17, "单机游戏"}, {171, "电子竞技"}, {172, "手机游戏"}, {65, "网络游戏"}, {173, "桌游棋牌"}, {121, "GMV"}, {136, "音游"}, {19, "Mugen"}}},
	{category{36, "知识"}, []category{{201, "科学科普"}, {124, "社科·法律·心理"}, {228, "人文历史"}, {207, "财经商业"}, {208, "校园学习"}, {209, "职业职场"}, {229, "设计·创意"}, {122, "野生技能协会"}}},
	{category{188, "科技"}, []category{{95, "数码"}, {230, "软件应用"}, {231, "计算机技术"}, {232, "科工机械"}, {233, "极客DIY"}}},
	{category{160, "生活"}, []category{{138, "搞笑"}, {21, "日常"}, {161, "手工"}, {162, "绘画"}}},
	{category{211, "美食"}, []category{{76, "美食制作"}, {212, "美食侦探"}, {213, "美食测评"}, {214, "田园美食"}, {215, "美食记录"}}},
	{category{5, "娱乐"}, []category{{71, "综艺"}, {241, "娱乐杂谈"}, {242, "粉丝创作"}, {137, "明星综合"}}},
	{category{181, "影视"}, []category{{182, "影视杂谈"}, {183, "影视剪辑"}, {85, "小剧场"}, {184, "预告·资讯"}}},
}

func categories() []map[string]any {
	out := []map[string]any{}
	for _, s := range sections {
		entry := describeCategory(s.category, 0)
		children := []map[string]any{}
		for _, child := range s.children {
			children = append(children, describeCategory(child, s.id))
		}
		entry["children"] = children
		out = append(out, entry)
	}
	return out
}

func describeCategory(c category, parent int) map[string]any {
	return map[string]any{
		"id": c.id, "parent": parent, "name": c.name, "description": c.name, "intro_original": "", "intro_copy": "", "notice": "",
		"copy_right": 0, "show": true, "rank": c.id, "max_video_count": 100, "children": nil,
	}
}
